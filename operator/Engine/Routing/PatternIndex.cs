using System.Collections.Frozen;

namespace WebhookOperator.Engine.Routing;

/// <summary>
/// Finds the routes whose patterns fit a text: exact ones by a look-up, and prefixes by one look-up for each
/// length that any of them has.
/// </summary>
internal sealed class PatternIndex
{
    private readonly FrozenDictionary<string, Route[]> _exact;
    private readonly (int Length, FrozenDictionary<string, Route[]>.AlternateLookup<ReadOnlySpan<char>> Routes)[] _prefixes;

    private PatternIndex(
        FrozenDictionary<string, Route[]> exact,
        (int, FrozenDictionary<string, Route[]>.AlternateLookup<ReadOnlySpan<char>>)[] prefixes)
    {
        _exact = exact;
        _prefixes = prefixes;
    }

    public static PatternIndex Build(IEnumerable<(string Pattern, Route Route)> entries)
    {
        var byPattern = entries.ToLookup(e => e.Pattern.EndsWith('*'));
        return new PatternIndex(
            Freeze(byPattern[false]),
            [
                .. byPattern[true].Select(e => (Pattern: e.Pattern[..^1], e.Route))
                    .GroupBy(e => e.Pattern.Length).OrderBy(g => g.Key)
                    .Select(g => (g.Key, Freeze(g).GetAlternateLookup<ReadOnlySpan<char>>())),
            ]);
    }

    /// <summary>The patterns that are not covered by another of them, so that any text fits at most one.</summary>
    public static IEnumerable<string> Distinct(IEnumerable<string> patterns)
    {
        var kept = new List<string>();
        foreach (var pattern in patterns.Distinct(StringComparer.Ordinal).OrderBy(p => p.EndsWith('*') ? 0 : 1).ThenBy(p => p.Length))
            if (!kept.Exists(k => k.EndsWith('*') && pattern.AsSpan().TrimEnd('*').StartsWith(k.AsSpan(0, k.Length - 1), StringComparison.Ordinal)))
                kept.Add(pattern);
        return kept;
    }

    public static bool Fits(string pattern, string text) => pattern.EndsWith('*')
        ? text.AsSpan().StartsWith(pattern.AsSpan(0, pattern.Length - 1), StringComparison.Ordinal)
        : text == pattern;

    public void Match(string text, ref EventValues values, Event @event, List<Subscription> matches)
    {
        if (_exact.TryGetValue(text, out var routes))
            Add(routes, ref values, @event, matches);
        foreach (var (length, prefixes) in _prefixes)
        {
            if (length > text.Length)
                break;
            if (prefixes.TryGetValue(text.AsSpan(0, length), out routes))
                Add(routes, ref values, @event, matches);
        }
    }

    public static void Add(Route[] routes, ref EventValues values, Event @event, List<Subscription> matches)
    {
        foreach (var route in routes)
            if (route.Accepts(@event, ref values))
                matches.Add(route.Subscription);
    }

    private static FrozenDictionary<string, Route[]> Freeze(IEnumerable<(string Pattern, Route Route)> entries) =>
        entries.GroupBy(e => e.Pattern, e => e.Route, StringComparer.Ordinal)
            .ToFrozenDictionary(g => g.Key, g => g.ToArray(), StringComparer.Ordinal);
}
