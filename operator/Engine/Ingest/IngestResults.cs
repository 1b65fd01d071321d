using System.Collections.Concurrent;
using Prometheus;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Ingest;

/// <summary>Counts received events by result, for namespaces that exist; a name that a client made up gets no series.</summary>
internal sealed class IngestResults
{
    private static readonly string[] Results =
        ["accepted", "duplicate", "malformed", "too_large", "unauthorized", "backlog_full", "unavailable"];

    private readonly ConcurrentDictionary<string, Counter.Child[]> _series = new();
    private readonly Counter _counter;

    /// <param name="instruments">Where the counter is.</param>
    /// <param name="routes">Every namespace that is known when metrics are collected has its series, at zero to begin with.</param>
    public IngestResults(Instruments instruments, RouteSource routes)
    {
        _counter = instruments.EventsReceived;
        instruments.Registry.AddBeforeCollectCallback(() =>
        {
            foreach (var @namespace in routes.Current.Namespaces)
                Series(@namespace);
        });
    }

    public void Accepted(string @namespace) => Series(@namespace)[0].Inc();

    public void Duplicate(string @namespace) => Series(@namespace)[1].Inc();

    public void Refused(string @namespace, int status)
    {
        var series = Series(@namespace);
        (status switch
        {
            StatusCodes.Status401Unauthorized or StatusCodes.Status403Forbidden => series[4],
            StatusCodes.Status413PayloadTooLarge => series[3],
            StatusCodes.Status429TooManyRequests => series[5],
            StatusCodes.Status503ServiceUnavailable => series[6],
            _ => series[2],
        }).Inc();
    }

    private Counter.Child[] Series(string @namespace) => _series.GetOrAdd(
        @namespace, static (name, counter) => Array.ConvertAll(Results, result => counter.WithLabels(name, result)), _counter);
}
