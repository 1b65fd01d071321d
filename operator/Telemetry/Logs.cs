using Microsoft.Extensions.Logging.Console;

namespace WebhookOperator.Telemetry;

/// <summary>Where log lines go and what they look like: one line each on standard error, times in UTC.</summary>
internal static class Logs
{
    private const string TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";

    public static void Configure(ILoggingBuilder logging, Settings settings)
    {
        logging.SetMinimumLevel(settings.LogLevel);
        // Kestrel's own lines tell of single requests and connections.
        logging.AddFilter("Microsoft", LogLevel.Warning);
        // ASP.NET's scopes and lines for each request. Unless they are off, each request has an Activity, which nobody reads.
        logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None);
        // What keeps a server from starting is thrown, and told by the verb in one sentence.
        logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        if (settings.LogFormat == LogFormat.Json)
            logging.AddJsonConsole(options =>
            {
                options.TimestampFormat = TimestampFormat;
                options.UseUtcTimestamp = true;
            });
        else
            logging.AddSimpleConsole(options =>
            {
                options.SingleLine = true;
                options.TimestampFormat = TimestampFormat;
                options.UseUtcTimestamp = true;
            });
        logging.Services.Configure<ConsoleLoggerOptions>(options => options.LogToStandardErrorThreshold = LogLevel.Trace);
    }
}
