using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Reconcile;

/// <summary>The parts of a valid spec that the engine takes as they are, with the engine's defaults for what is left out.</summary>
internal static class SpecValues
{
    public static Filter ToFilter(EventsSpec? events) => events is null ? Filter.All : new Filter
    {
        Types = [.. events.Types ?? []],
        Sources = [.. events.Sources ?? []],
        Expressions =
        [
            .. (events.MatchExpressions ?? []).Select(expression => new MatchExpression(
                expression.Key!, Enum.Parse<MatchOperator>(expression.Operator!), [.. expression.Values ?? []])),
        ],
    };

    public static DeliveryPolicy ToPolicy(DeliverySpec? spec)
    {
        var defaults = new DeliveryPolicy();
        if (spec is null)
            return defaults;
        var breaker = spec.CircuitBreaker;
        return new DeliveryPolicy
        {
            Retry = new RetryPolicy
            {
                Schedule = spec.Retry?.Schedule is { } schedule
                    ? [.. schedule.Select(KubeDuration.Parse)] : defaults.Retry.Schedule,
                MaxAge = Duration(spec.Retry?.MaxAge, defaults.Retry.MaxAge),
                JitterPercent = spec.Retry?.JitterPercent ?? defaults.Retry.JitterPercent,
            },
            CircuitBreaker = new CircuitBreakerPolicy
            {
                FailureRatioPercent = breaker?.FailureRatioPercent ?? defaults.CircuitBreaker.FailureRatioPercent,
                MinimumThroughput = breaker?.MinimumThroughput ?? defaults.CircuitBreaker.MinimumThroughput,
                SamplingWindow = Duration(breaker?.SamplingWindow, defaults.CircuitBreaker.SamplingWindow),
                BreakDuration = Duration(breaker?.BreakDuration, defaults.CircuitBreaker.BreakDuration),
                MaxBreakDuration = Duration(breaker?.MaxBreakDuration, defaults.CircuitBreaker.MaxBreakDuration),
            },
            RateLimit = spec.RateLimit is { Requests: { } requests } limit
                ? new RateLimitPolicy(requests, Duration(limit.Per, TimeSpan.FromSeconds(1)), limit.Burst ?? requests) : null,
            Concurrency = spec.Concurrency ?? defaults.Concurrency,
            DisableAfter = Duration(spec.DisableAfter, defaults.DisableAfter),
        };
    }

    public static TimeSpan Duration(string? text, TimeSpan otherwise) => KubeDuration.TryParse(text, out var duration) ? duration : otherwise;
}
