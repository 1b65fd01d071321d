using System.Diagnostics.CodeAnalysis;

namespace WebhookOperator.Engine.Routing;

/// <summary>
/// Names one accepted event. Its text form, <c>evt_</c> and 13 characters, is the <c>webhook-id</c> that
/// every receiver sees, the same on each retry, and has no dot in it (Standard Webhooks 1.0.0).
/// </summary>
internal readonly record struct EventId(long Value) : IComparable<EventId>
{
    private const string Prefix = "evt_";

    public int CompareTo(EventId other) => Value.CompareTo(other.Value);

    public override string ToString() => TimeOrderedId.Format(Prefix, Value);

    public static bool TryParse([NotNullWhen(true)] string? text, out EventId id)
    {
        var ok = TimeOrderedId.TryParse(Prefix, text, out var value);
        id = new EventId(value);
        return ok;
    }
}

/// <summary>Names one event's delivery to one subscription; <c>dlv_</c> and 13 characters.</summary>
internal readonly record struct DeliveryId(long Value) : IComparable<DeliveryId>
{
    private const string Prefix = "dlv_";

    public int CompareTo(DeliveryId other) => Value.CompareTo(other.Value);

    public override string ToString() => TimeOrderedId.Format(Prefix, Value);

    public static bool TryParse([NotNullWhen(true)] string? text, out DeliveryId id)
    {
        var ok = TimeOrderedId.TryParse(Prefix, text, out var value);
        id = new DeliveryId(value);
        return ok;
    }
}

/// <summary>
/// Positive 63-bit numbers that sort by time: 43 bits of unix milliseconds (until the year 2248), then 20
/// bits that count within the millisecond. Events and deliveries draw from one sequence, an event directly
/// before its deliveries, so a range of ids is both a range of time and a whole event.
/// </summary>
internal static class TimeOrderedId
{
    private const int CounterBits = 20;

    /// <summary>Crockford's base 32, lower case: sorts as the numbers do, and 0/O or 1/l cannot be confused.</summary>
    private const string Alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

    private const int Digits = 13;

    /// <summary>The smallest id that the given time can have; for ranges.</summary>
    public static long Floor(DateTimeOffset time) => Math.Max(0, time.ToUnixTimeMilliseconds()) << CounterBits;

    /// <summary>When the id was drawn, to the millisecond.</summary>
    public static DateTimeOffset TimeOf(long id) => DateTimeOffset.FromUnixTimeMilliseconds(id >> CounterBits);

    public static string Format(string prefix, long value) =>
        string.Create(prefix.Length + Digits, (prefix, value), static (span, state) =>
        {
            state.prefix.CopyTo(span);
            var rest = state.value;
            for (var i = span.Length - 1; i >= state.prefix.Length; i--, rest >>= 5)
                span[i] = Alphabet[(int)(rest & 31)];
        });

    public static bool TryParse(string prefix, [NotNullWhen(true)] string? text, out long value)
    {
        value = 0;
        if (text is null || text.Length != prefix.Length + Digits || !text.StartsWith(prefix, StringComparison.Ordinal))
            return false;
        foreach (var c in text.AsSpan(prefix.Length))
        {
            var digit = Alphabet.IndexOf(c, StringComparison.Ordinal);
            if (digit < 0 || value > long.MaxValue >> 5)
                return false;
            value = (value << 5) | (long)digit;
        }
        return true;
    }
}
