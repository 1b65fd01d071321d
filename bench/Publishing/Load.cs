using System.Diagnostics;

namespace WebhookOperator.Bench.Publishing;

/// <summary>Two ways to put load on something: as fast as a number of workers can, or at a given pace.</summary>
internal static class Load
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);

    /// <summary>Sends <paramref name="count"/> requests, each worker its next when the last was answered.</summary>
    public static async Task CountAsync(int workers, long count, Func<Task> send, CancellationToken cancellation)
    {
        var started = 0L;
        await Task.WhenAll(Enumerable.Range(0, workers).Select(_ => Task.Run(async () =>
        {
            while (Interlocked.Increment(ref started) <= count && !cancellation.IsCancellationRequested)
                await send();
        }, cancellation)));
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>Sends for a time, and tells how many requests were answered, in all and a second.</summary>
    public static async Task<(long Answered, double Rate)> TimeAsync(int workers, TimeSpan duration, Func<Task> send, CancellationToken cancellation)
    {
        var answered = 0L;
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, workers).Select(_ => Task.Run(async () =>
        {
            while (clock.Elapsed < duration && !cancellation.IsCancellationRequested)
            {
                await send();
                Interlocked.Increment(ref answered);
            }
        }, cancellation)));
        cancellation.ThrowIfCancellationRequested();
        return (answered, answered / clock.Elapsed.TotalSeconds);
    }

    /// <summary>
    /// Starts requests at a steady rate, whether or not earlier ones were answered, so that a slow answer does
    /// not spare the system load. Completes once all were answered.
    /// </summary>
    /// <param name="rate">Requests a second.</param>
    /// <param name="duration">For so long requests are started.</param>
    /// <param name="send">Gets the number of the request, from 0.</param>
    /// <param name="cancellation">Ends it early.</param>
    /// <returns>How many were sent.</returns>
    public static async Task<long> PaceAsync(
        double rate, TimeSpan duration, Func<long, Task> send, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(Tick, TimeProvider.System);
        var requests = new List<Task>((int)(rate * duration.TotalSeconds) + 1);
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < duration)
        {
            await timer.WaitForNextTickAsync(cancellation);
            for (var due = Math.Min(clock.Elapsed.TotalSeconds, duration.TotalSeconds) * rate; requests.Count < (long)due;)
                requests.Add(send(requests.Count));
        }
        await Task.WhenAll(requests);
        return requests.Count;
    }
}
