using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Telemetry;

/// <summary>The delivery engine's log messages: one line for each attempt, and each transition.</summary>
internal static partial class DeliveryLog
{
    [LoggerMessage(LogLevel.Debug, "{Subscription}: {Delivery} attempt {Attempt} delivered: {StatusCode} in {Milliseconds:0.#} ms")]
    public static partial void AttemptDelivered(
        this ILogger logger, NamespacedName subscription, DeliveryId delivery, int attempt, int? statusCode, double milliseconds);

    [LoggerMessage(LogLevel.Warning, "{Subscription}: {Delivery} attempt {Attempt} failed after {Milliseconds:0.#} ms: {Message} Next attempt at {DueTime:O}.")]
    public static partial void AttemptFailed(
        this ILogger logger, NamespacedName subscription, DeliveryId delivery, int attempt, double milliseconds,
        string? message, DateTimeOffset dueTime);

    [LoggerMessage(LogLevel.Warning, "{Subscription}: {Delivery} is dead after {Attempts} attempts: {Message} It can be redelivered until retention ends.")]
    public static partial void DeliveryDead(
        this ILogger logger, NamespacedName subscription, DeliveryId delivery, int attempts, string? message);

    [LoggerMessage(LogLevel.Error, "{Subscription}: {Delivery} hit a fault within the operator; it is retried as the schedule says")]
    public static partial void AttemptFault(
        this ILogger logger, NamespacedName subscription, DeliveryId delivery, Exception exception);

    [LoggerMessage(LogLevel.Warning, "{Subscription}: circuit opened; the next request is a probe at {NextProbeTime:O}")]
    public static partial void CircuitOpened(this ILogger logger, NamespacedName subscription, DateTimeOffset? nextProbeTime);

    [LoggerMessage(LogLevel.Information, "{Subscription}: circuit closed; the receiver is well again")]
    public static partial void CircuitClosed(this ILogger logger, NamespacedName subscription);

    [LoggerMessage(LogLevel.Warning, "{Subscription}: disabled ({Reason}): {Message} Its deliveries are held.")]
    public static partial void Disabled(this ILogger logger, NamespacedName subscription, string reason, string message);

    [LoggerMessage(LogLevel.Information, "{Subscription}: enabled again by a change of its spec")]
    public static partial void Enabled(this ILogger logger, NamespacedName subscription);

    [LoggerMessage(LogLevel.Information, "{Subscription}: deleted; {Cancelled} pending deliveries cancelled")]
    public static partial void LaneRemoved(this ILogger logger, NamespacedName subscription, long cancelled);

    [LoggerMessage(LogLevel.Warning, "The store is not available and is tried again in {Seconds} s: {Message}")]
    public static partial void StoreRetry(this ILogger logger, double seconds, string message);

    [LoggerMessage(LogLevel.Information, "Joined the replicas of this store as member {Member}")]
    public static partial void Joined(this ILogger logger, long member);

    [LoggerMessage(LogLevel.Warning, "Membership lost, and with it {Shards} shards; nothing more is sent until there is a new one: {Message}")]
    public static partial void ShardsLost(this ILogger logger, int shards, string message);

    [LoggerMessage(LogLevel.Error, "{Loop} hit a fault and goes on")]
    public static partial void LoopFault(this ILogger logger, string loop, Exception exception);
}
