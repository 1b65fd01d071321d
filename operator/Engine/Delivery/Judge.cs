using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Delivery;

internal enum VerdictKind
{
    Delivered,

    /// <summary>Try again at <see cref="Verdict.RetryTime"/>.</summary>
    RetryAt,

    /// <summary>No request was made; the delivery waits and no attempt is counted.</summary>
    Parked,

    /// <summary>The schedule or the maximum age has ended.</summary>
    Dead,

    /// <summary>The receiver wants no more: the subscription is disabled and the delivery held.</summary>
    Gone,
}

internal readonly record struct Verdict(VerdictKind Kind, DateTimeOffset RetryTime = default);

/// <summary>What an answer means. Pure.</summary>
internal static class Judge
{
    /// <summary>The verdict on one request.</summary>
    /// <param name="result">What came of it; null if none was made.</param>
    /// <param name="policy">The subscription's retries.</param>
    /// <param name="step">Attempts made in this run of the schedule, this one counted.</param>
    /// <param name="agesFrom">When this run began, or a hold after that ended.</param>
    /// <param name="now">The end of the attempt.</param>
    /// <param name="random">At least 0 and below 1; for the jitter.</param>
    public static Verdict Decide(
        SendResult? result, RetryPolicy policy, int step, DateTimeOffset agesFrom, DateTimeOffset now, double random)
    {
        switch (result)
        {
            case null:
                return new Verdict(VerdictKind.Parked);
            case { Error: ErrorClass.None }:
                return new Verdict(VerdictKind.Delivered);
            case { StatusCode: 410 }:
                return new Verdict(VerdictKind.Gone);
            default:
                var retryAfter = AsksForPatience(result) ? result.RetryAfter : null;
                return RetrySchedule.Next(policy, step, agesFrom, now, retryAfter, random) is { } due
                    ? new Verdict(VerdictKind.RetryAt, due)
                    : new Verdict(VerdictKind.Dead);
        }
    }

    /// <summary>
    /// Whether the failure speaks of the receiver's health, and so counts for the circuit breaker: it was not
    /// reached, did not answer in time, or answered 429 or 5xx. Another answer judges the one request (a 400, a
    /// 404): the receiver is there, and holding back its other events would help no one. Without an access token
    /// no event can reach it, so that counts too.
    /// </summary>
    public static bool CountsForBreaker(SendResult result) => result.Error switch
    {
        ErrorClass.None or ErrorClass.Payload or ErrorClass.Internal => false,
        ErrorClass.HttpStatus => result.StatusCode is 429 or >= 500,
        _ => true,
    };

    private static bool AsksForPatience(SendResult result) => result.StatusCode is 429 or 502 or 503 or 504;
}
