namespace WebhookOperator.Telemetry;

/// <summary>The HTTP API's log messages.</summary>
internal static partial class ApiLog
{
    [LoggerMessage(LogLevel.Warning, "{Path} was answered with 503: {Reason}")]
    public static partial void ApiStoreUnavailable(this ILogger logger, string path, string reason);
}
