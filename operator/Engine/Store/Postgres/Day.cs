using System.Globalization;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>A day in UTC: what a partition holds.</summary>
internal readonly record struct Day(int Number)
{
    private const int CounterBits = 20;
    private const long Milliseconds = 24 * 60 * 60 * 1000;

    public long FirstId => Number * Milliseconds << CounterBits;

    public Day Next => new(Number + 1);

    /// <summary>For the names of partitions: yyyymmdd.</summary>
    public string Suffix => DateOnly.FromDayNumber(UnixEpoch + Number).ToString("yyyyMMdd", CultureInfo.InvariantCulture);

    private static int UnixEpoch => DateOnly.FromDateTime(DateTime.UnixEpoch).DayNumber;

    public static Day Of(long id) => new((int)((id >> CounterBits) / Milliseconds));

    public static Day Of(DateTimeOffset time) => Of(TimeOrderedId.Floor(time));

    /// <summary>Null where the text is no <see cref="Suffix"/>.</summary>
    public static Day? Parse(ReadOnlySpan<char> suffix) =>
        DateOnly.TryParseExact(suffix, "yyyyMMdd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date)
            ? new Day(date.DayNumber - UnixEpoch) : null;
}
