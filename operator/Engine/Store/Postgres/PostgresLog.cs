namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>The store's log messages.</summary>
internal static partial class PostgresLog
{
    [LoggerMessage(LogLevel.Warning, "PostgreSQL at {Server} runs with fsync or full_page_writes off: a power cut can lose events that were accepted")]
    public static partial void Unsafe(this ILogger logger, string server);

    [LoggerMessage(LogLevel.Error, "The store {Server} refuses all changes: {Reason}")]
    public static partial void StoreFailed(this ILogger logger, string server, string reason, Exception exception);

    [LoggerMessage(LogLevel.Information, "The store {Server} accepts changes again")]
    public static partial void StoreRecovered(this ILogger logger, string server);

    [LoggerMessage(LogLevel.Information, "Events of {Day} are past their retention and were dropped")]
    public static partial void DayDropped(this ILogger logger, string day);
}
