using System.Collections.Frozen;

namespace WebhookOperator.Engine.Routing;

/// <summary>Finds the routes that ask for certain values of one key, where nothing better narrows them down.</summary>
internal sealed class ValueIndex
{
    private readonly CompiledExpression _key;
    private readonly FrozenDictionary<string, Route[]> _byText;
    private readonly FrozenDictionary<NumberValue, Route[]> _byNumber;

    /// <param name="key">Of all the entries.</param>
    /// <param name="entries">Routes with the In expression by which they are found.</param>
    /// <param name="paths">Where paths into the data get their slots.</param>
    public ValueIndex(string key, IReadOnlyCollection<(MatchExpression Expression, Route Route)> entries, DataPaths paths)
    {
        _key = new CompiledExpression(new MatchExpression(key, MatchOperator.Exists, []), paths);
        _byText = entries.SelectMany(e => e.Expression.Values.Distinct(StringComparer.Ordinal).Select(v => (Value: v, e.Route)))
            .GroupBy(e => e.Value, e => e.Route, StringComparer.Ordinal).ToFrozenDictionary(g => g.Key, g => g.ToArray(), StringComparer.Ordinal);
        _byNumber = entries.SelectMany(e => e.Expression.Values.Select(NumberValue.Parse).OfType<NumberValue>().Distinct().Select(v => (Value: v, e.Route)))
            .GroupBy(e => e.Value, e => e.Route).ToFrozenDictionary(g => g.Key, g => g.ToArray());
    }

    public void Match(ref EventValues values, Event @event, List<Subscription> matches)
    {
        var value = _key.ValueOf(ref values);
        Route[]? routes = null;
        var found = value.Kind switch
        {
            ScalarKind.Text or ScalarKind.Boolean => _byText.TryGetValue(value.Text, out routes),
            ScalarKind.Number => value.Number is { } number && _byNumber.TryGetValue(number, out routes),
            _ => false,
        };
        if (found)
            PatternIndex.Add(routes!, ref values, @event, matches);
    }
}
