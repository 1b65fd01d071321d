using System.Numerics;

namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// Success ratio and latency over the last hour, in twelve slots of five minutes, so a figure covers 55 to 60
/// minutes. Latencies fall into buckets of a quarter of a power of two: a quantile is right within 25 %.
/// Not thread-safe: its lane calls it under its lock.
/// </summary>
internal sealed class RollingHour
{
    private const int Slots = 12;
    private const int SubBuckets = 4;

    /// <summary>Up to 2^21 ms, 35 minutes; beyond counts as that.</summary>
    private const int Buckets = 21 * SubBuckets;
    private static readonly long SlotTicks = TimeSpan.FromMinutes(5).Ticks;

    private readonly Slot?[] _slots = new Slot?[Slots];

    public void AddSuccess(DateTimeOffset now, TimeSpan latency)
    {
        var slot = SlotAt(now);
        slot.Successes++;
        slot.Latencies[BucketOf(latency)]++;
    }

    public void AddFailure(DateTimeOffset now) => SlotAt(now).Failures++;

    /// <summary>Null where there was no attempt within the hour.</summary>
    public int? SuccessRatioPercent(DateTimeOffset now)
    {
        long successes = 0, failures = 0;
        foreach (var slot in Recent(now))
        {
            successes += slot.Successes;
            failures += slot.Failures;
        }
        return successes + failures == 0 ? null : (int)(100 * successes / (successes + failures));
    }

    /// <summary>The latency that the given share of the successes did not exceed, in milliseconds, rounded up to its bucket; null without a success.</summary>
    public long? LatencyMilliseconds(DateTimeOffset now, double quantile)
    {
        Span<long> sums = stackalloc long[Buckets];
        sums.Clear();
        long total = 0;
        foreach (var slot in Recent(now))
        {
            for (var i = 0; i < Buckets; i++)
                sums[i] += slot.Latencies[i];
            total += slot.Successes;
        }
        if (total == 0)
            return null;
        var rank = (long)Math.Ceiling(quantile * total);
        long seen = 0;
        for (var i = 0; i < Buckets; i++)
        {
            seen += sums[i];
            if (seen >= rank)
                return UpperBound(i);
        }
        return UpperBound(Buckets - 1);
    }

    private static int BucketOf(TimeSpan latency)
    {
        var ms = (ulong)Math.Clamp((long)latency.TotalMilliseconds, 0, (1L << 21) - 1);
        if (ms < SubBuckets)
            return (int)ms;
        var power = BitOperations.Log2(ms);
        return Math.Min(Buckets - 1, (power - 1) * SubBuckets + (int)((ms >> (power - 2)) & (SubBuckets - 1)));
    }

    private static long UpperBound(int bucket)
    {
        if (bucket < SubBuckets)
            return bucket;
        var power = bucket / SubBuckets + 1;
        return (((long)SubBuckets + bucket % SubBuckets + 1) << (power - 2)) - 1;
    }

    private Slot SlotAt(DateTimeOffset now)
    {
        var number = now.UtcTicks / SlotTicks;
        ref var slot = ref _slots[number % Slots];
        if (slot is null || slot.Number != number)
            slot = new Slot { Number = number };
        return slot;
    }

    private IEnumerable<Slot> Recent(DateTimeOffset now)
    {
        var oldest = now.UtcTicks / SlotTicks - Slots + 1;
        foreach (var slot in _slots)
            if (slot is not null && slot.Number >= oldest)
                yield return slot;
    }

    private sealed class Slot
    {
        public long Number;
        public long Successes;
        public long Failures;
        public readonly int[] Latencies = new int[Buckets];
    }
}
