using System.Collections.Concurrent;
using System.Diagnostics;

namespace WebhookOperator.Bench.Receiving;

/// <param name="Requests">All, repetitions too.</param>
/// <param name="Unique">Distinct webhook-ids.</param>
/// <param name="IdSum">The sum of the distinct ids, wrapping: tells whether they are the ids that were accepted.</param>
/// <param name="BadSignatures">Unsigned, or signed wrongly.</param>
internal sealed record Progress(long Requests, long Unique, long IdSum, long BadSignatures);

/// <summary>From the stamp in the body to the arrival, in milliseconds; all 0 without samples.</summary>
internal sealed record Latencies(int Count, double P50, double P99, double Max);

/// <summary>What the receiver has seen since its last reset. Thread-safe.</summary>
internal sealed class Arrivals
{
    private const int MostSamples = 1 << 21;

    private readonly ConcurrentDictionary<long, bool> _ids = new();
    private readonly int[] _microseconds = new int[MostSamples];
    private readonly long _since = Stopwatch.GetTimestamp();
    private long _requests;
    private long _unique;
    private long _idSum;
    private long _badSignatures;
    private int _samples;

    public Progress Progress => new(
        Volatile.Read(ref _requests), Volatile.Read(ref _unique), Volatile.Read(ref _idSum), Volatile.Read(ref _badSignatures));

    /// <param name="id">Null for what did not come from the operator.</param>
    /// <param name="stamp">When it was published, on the monotonic clock that all processes share; 0 for never.</param>
    public void Add(EventId? id, long stamp)
    {
        var now = Stopwatch.GetTimestamp();
        Interlocked.Increment(ref _requests);
        if (id is { } known && !_ids.TryAdd(known.Value, true))
            return;
        if (stamp >= _since && Interlocked.Increment(ref _samples) is var count && count <= MostSamples)
            _microseconds[count - 1] = (int)Math.Min(int.MaxValue, Stopwatch.GetElapsedTime(stamp, now).TotalMicroseconds);
        if (id is not { } first)
            return;
        Interlocked.Add(ref _idSum, first.Value);
        Interlocked.Increment(ref _unique);
    }

    public void AddBadSignature() => Interlocked.Increment(ref _badSignatures);

    public Latencies Summarize()
    {
        var sorted = _microseconds.AsSpan(0, Math.Min(MostSamples, Volatile.Read(ref _samples))).ToArray();
        Array.Sort(sorted);
        return sorted.Length == 0
            ? new Latencies(0, 0, 0, 0)
            : new Latencies(sorted.Length, Sample.Percentile(sorted, 50) / 1e3, Sample.Percentile(sorted, 99) / 1e3, sorted[^1] / 1e3);
    }
}
