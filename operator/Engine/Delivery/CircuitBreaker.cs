using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Store;
using CircuitBreakerPolicy = WebhookOperator.Engine.Routing.CircuitBreakerPolicy;

namespace WebhookOperator.Engine.Delivery;

internal enum CircuitPosition { Closed, Open, HalfOpen }

/// <summary>Where a circuit stands: since when, and when an open one lets its probe through.</summary>
internal sealed record CircuitSnapshot(CircuitPosition Position, DateTimeOffset Since, DateTimeOffset? NextProbeTime);

/// <summary>
/// Polly's circuit breaker around Polly's timeout: a break doubles with each failed probe, a timeout counts as
/// a failure, and the state can be read at any time. Thread-safe.
/// </summary>
internal sealed class CircuitBreaker
{
    private readonly ResiliencePipeline<SendResult> _pipeline;
    private readonly TimeProvider _time;
    private readonly Action<CircuitSnapshot> _changed;
    private readonly SendResult _timedOut;
    private CircuitSnapshot _snapshot;

    /// <param name="policy">When to open, and for how long.</param>
    /// <param name="timeout">For one whole request.</param>
    /// <param name="time">Polly's clock too.</param>
    /// <param name="changed">Called on each change of position, from within <see cref="ExecuteAsync"/>.</param>
    public CircuitBreaker(CircuitBreakerPolicy policy, TimeSpan timeout, TimeProvider time, Action<CircuitSnapshot> changed)
    {
        _time = time;
        _changed = changed;
        _snapshot = new CircuitSnapshot(CircuitPosition.Closed, time.GetUtcNow(), null);
        _pipeline = new ResiliencePipelineBuilder<SendResult> { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<SendResult>
            {
                FailureRatio = policy.FailureRatioPercent / 100.0,
                MinimumThroughput = policy.MinimumThroughput,
                SamplingDuration = policy.SamplingWindow,
                BreakDurationGenerator = args => ValueTask.FromResult(BreakAfter(policy, args.HalfOpenAttempts)),
                ShouldHandle = static args => ValueTask.FromResult(
                    args.Outcome is { Exception: TimeoutRejectedException }
                    || args.Outcome is { Result: { } result } && Judge.CountsForBreaker(result)),
                OnOpened = args => Move(CircuitPosition.Open, args.BreakDuration),
                OnHalfOpened = _ => Move(CircuitPosition.HalfOpen, null),
                OnClosed = _ => Move(CircuitPosition.Closed, null),
            })
            .AddTimeout(timeout)
            .Build();
        _timedOut = new SendResult
        {
            Error = ErrorClass.Timeout,
            Message = $"The receiver did not answer within {timeout.TotalSeconds:0.###} s.",
        };
    }

    public CircuitSnapshot Snapshot => Volatile.Read(ref _snapshot);

    /// <summary>Runs the request, or returns null without running it while the circuit is open.</summary>
    public async ValueTask<SendResult?> ExecuteAsync<TState>(
        Func<TState, CancellationToken, ValueTask<SendResult>> request, TState state, CancellationToken cancellation)
    {
        try
        {
            return await _pipeline.ExecuteAsync(request, state, cancellation);
        }
        catch (BrokenCircuitException)
        {
            return null;
        }
        catch (TimeoutRejectedException)
        {
            return _timedOut;
        }
    }

    /// <summary>The break after so many failed probes in a row: the first, doubled each time, up to the longest.</summary>
    internal static TimeSpan BreakAfter(CircuitBreakerPolicy policy, int failedProbes)
    {
        var doubled = policy.BreakDuration * Math.Pow(2, Math.Min(failedProbes, 30));
        return doubled < policy.MaxBreakDuration ? doubled : policy.MaxBreakDuration;
    }

    private ValueTask Move(CircuitPosition position, TimeSpan? breakDuration)
    {
        var now = _time.GetUtcNow();
        var snapshot = new CircuitSnapshot(position, now, breakDuration is { } length ? now + length : null);
        Volatile.Write(ref _snapshot, snapshot);
        _changed(snapshot);
        return ValueTask.CompletedTask;
    }
}
