using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Prometheus;

namespace WebhookOperator.Telemetry;

/// <summary>
/// The series of all subscriptions. Their collectors in the registry have no children: they stand for the name, the
/// help and the type, behind which the samples are written here.
/// </summary>
internal sealed class SubscriptionMetrics
{
    public static readonly string[] CodeClasses = ["2xx", "3xx", "4xx", "5xx", "none"];
    public static readonly string[] States = ["Closed", "Open", "HalfOpen"];
    private static readonly string[] Outcomes = ["delivered", "dead"];

    private const int BufferBytes = 32 * 1024;

    /// <summary>More than the names of any subscription, escaped, and one of ours take.</summary>
    private const int LongestSample = 4 * 1024;

    private readonly ConcurrentDictionary<SubscriptionSeries, byte> _series = new();
    private readonly Family[] _families;

    public SubscriptionMetrics(Instruments instruments) => _families =
    [
        new(instruments.Deliveries, Outcomes, static (series, i) => i == 0 ? series.Delivered : series.Dead),
        new(instruments.Attempts, CodeClasses, static (series, i) => series.Attempts(i)),
        new(instruments.Pending, [""], static (series, _) => series.Pending),
        new(instruments.OldestPendingAge, [""], static (series, _) => series.OldestPendingAge),
        new(instruments.CircuitState, States, static (series, i) => series.Circuit == i ? 1 : 0),
    ];

    public void Add(SubscriptionSeries series) => _series.TryAdd(series, 0);

    public void Remove(SubscriptionSeries series) => _series.TryRemove(series, out _);

    /// <summary>Writes the samples that belong behind the TYPE line of the given name, if it is one of a subscription's.</summary>
    /// <param name="name">In OpenMetrics without the suffix of a counter.</param>
    /// <param name="stream">Gets whole lines.</param>
    /// <param name="format">In OpenMetrics every number has a decimal point.</param>
    /// <param name="cancellation">Ends it early.</param>
    public async Task WriteAsync(string name, Stream stream, ExpositionFormat format, CancellationToken cancellation)
    {
        var openMetrics = format == ExpositionFormat.OpenMetricsText;
        var family = Array.Find(_families, family => name == (openMetrics ? family.OpenMetricsName : family.Collector.Name));
        if (family is null)
            return;
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        var length = 0;
        try
        {
            foreach (var (series, _) in _series)
            {
                for (var i = 0; i < family.Values.Length; i++)
                {
                    if (buffer.Length - length < LongestSample)
                    {
                        await stream.WriteAsync(buffer.AsMemory(0, length), cancellation);
                        length = 0;
                    }
                    length += Format(buffer.AsSpan(length), family, series, i, openMetrics);
                }
            }
            await stream.WriteAsync(buffer.AsMemory(0, length), cancellation);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static int Format(Span<byte> target, Family family, SubscriptionSeries series, int i, bool openMetrics)
    {
        var length = 0;
        Append(target, family.Collector.Name, ref length);
        Append(target, "{namespace=\"", ref length);
        Append(target, Escape(series.Namespace), ref length);
        Append(target, "\",subscription=\"", ref length);
        Append(target, Escape(series.Name), ref length);
        if (family.Label is { } label)
        {
            Append(target, "\",", ref length);
            Append(target, label, ref length);
            Append(target, "=\"", ref length);
            Append(target, family.Values[i], ref length);
        }
        Append(target, "\"} ", ref length);
        var number = target[length..];
        family.Read(series, i).TryFormat(number, out var digits, provider: CultureInfo.InvariantCulture);
        length += digits;
        if (openMetrics && number[..digits].IndexOfAny(".E"u8) < 0)
            Append(target, ".0", ref length);
        target[length++] = (byte)'\n';
        return length;
    }

    private static void Append(Span<byte> target, string text, ref int length) => length += Encoding.UTF8.GetBytes(text, target[length..]);

    private static string Escape(string value) => value.AsSpan().IndexOfAny('\\', '"', '\n') < 0
        ? value
        : value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    /// <param name="Collector">In the registry.</param>
    /// <param name="Values">Of its third label; one that is empty where it has only two.</param>
    /// <param name="Read">The sample for the value of that index.</param>
    private sealed record Family(Collector Collector, string[] Values, Func<SubscriptionSeries, int, double> Read)
    {
        private const string CounterSuffix = "_total";

        public string? Label { get; } = Collector.LabelNames.ElementAtOrDefault(2);

        public string OpenMetricsName { get; } =
            Collector.Name.EndsWith(CounterSuffix, StringComparison.Ordinal) ? Collector.Name[..^CounterSuffix.Length] : Collector.Name;
    }
}
