using System.Diagnostics;
using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Receiving;

namespace WebhookOperator.Bench.Sections;

internal static class Arrival
{
    public static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(5);

    /// <summary>Without any arrival for so long, the rest is taken for lost.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Waits until so many distinct events have arrived since the receiver's last reset.</summary>
    public static async Task<Progress> OfAsync(
        ReceiverProcess receiver, OperatorProcess @operator, long events, CancellationToken cancellation)
    {
        var (seen, since) = (-1L, Stopwatch.GetTimestamp());
        while (true)
        {
            var progress = await receiver.ProgressAsync(cancellation);
            if (progress.Unique >= events)
                return progress;
            if (progress.Unique > seen)
                (seen, since) = (progress.Unique, Stopwatch.GetTimestamp());
            else if (Stopwatch.GetElapsedTime(since) > Patience)
                throw new TimeoutException($"{events - seen} of {events} events have not arrived.\n{@operator.Process.Output}");
            await Task.Delay(Poll, TimeProvider.System, cancellation);
        }
    }
}
