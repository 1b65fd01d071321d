using WebhookOperator.Bench.Processes;

namespace WebhookOperator.Bench.Sections;

/// <param name="Median">VmRSS, in megabytes (10^6).</param>
/// <param name="Highest">The same.</param>
internal sealed record Memory(double Median, double Highest)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan ScrapeInterval = TimeSpan.FromSeconds(5);

    /// <summary>Watches for a while, during which metrics are scraped as Prometheus would.</summary>
    public static async Task<Memory> WatchAsync(OperatorProcess @operator, TimeSpan duration, CancellationToken cancellation)
    {
        var samples = new List<double>();
        var scrapes = 0;
        var start = TimeProvider.System.GetTimestamp();
        for (TimeSpan elapsed; (elapsed = TimeProvider.System.GetElapsedTime(start)) < duration;)
        {
            if (elapsed >= ScrapeInterval * scrapes)
            {
                await @operator.ScrapeAsync(cancellation);
                scrapes++;
            }
            samples.Add(@operator.Process.Megabytes("VmRSS"));
            await Task.Delay(Interval, TimeProvider.System, cancellation);
        }
        return new Memory(Sample.Median(samples), samples.Max());
    }
}
