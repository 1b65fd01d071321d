using System.Collections.Immutable;

namespace WebhookOperator.Engine.Routing;

/// <summary>
/// The subscriptions of one namespace, compiled for matching. Immutable: a change builds a new table. Each
/// subscription is found by the first of its types, its sources, or an In expression that it has; only those
/// with none of these are asked about every event.
/// </summary>
internal sealed class RouteTable
{
    private readonly DataPaths _paths = new();
    private readonly PatternIndex _byType;
    private readonly PatternIndex _bySource;
    private readonly ValueIndex[] _byValue;
    private readonly Route[] _others;

    private RouteTable(IEnumerable<Subscription> subscriptions)
    {
        var types = new List<(string, Route)>();
        var sources = new List<(string, Route)>();
        var values = new Dictionary<string, List<(MatchExpression, Route)>>(StringComparer.Ordinal);
        var others = new List<Route>();
        Subscriptions = [.. subscriptions.OrderBy(s => s.Name.Name, StringComparer.Ordinal)];
        foreach (var subscription in Subscriptions)
        {
            var filter = subscription.Filter;
            var route = new Route(subscription, anchoredBySource: filter.Types.IsEmpty && !filter.Sources.IsEmpty, _paths);
            if (!filter.Types.IsEmpty)
                types.AddRange(PatternIndex.Distinct(filter.Types).Select(type => (type, route)));
            else if (!filter.Sources.IsEmpty)
                sources.AddRange(PatternIndex.Distinct(filter.Sources).Select(source => (source, route)));
            else if (filter.Expressions.FirstOrDefault(e => e.Operator == MatchOperator.In) is { } expression)
                (values.TryGetValue(expression.Key, out var list) ? list : values[expression.Key] = []).Add((expression, route));
            else
                others.Add(route);
        }
        _byType = PatternIndex.Build(types);
        _bySource = PatternIndex.Build(sources);
        _byValue = [.. values.OrderBy(v => v.Key, StringComparer.Ordinal).Select(v => new ValueIndex(v.Key, v.Value, _paths))];
        _others = [.. others];
    }

    /// <summary>Ordered by name.</summary>
    public ImmutableArray<Subscription> Subscriptions { get; }

    public static RouteTable Build(IEnumerable<Subscription> subscriptions) => new(subscriptions);

    /// <summary>Adds every subscription that wants the event to <paramref name="matches"/>, each once, in an order that depends on the table alone.</summary>
    public void Match(Event @event, List<Subscription> matches)
    {
        var values = new EventValues(@event, _paths);
        try
        {
            _byType.Match(@event.Type, ref values, @event, matches);
            _bySource.Match(@event.Source, ref values, @event, matches);
            foreach (var index in _byValue)
                index.Match(ref values, @event, matches);
            PatternIndex.Add(_others, ref values, @event, matches);
        }
        finally
        {
            values.Dispose();
        }
    }
}
