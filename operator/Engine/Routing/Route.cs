namespace WebhookOperator.Engine.Routing;

/// <summary>One subscription and what is left to ask once an index has found it.</summary>
internal sealed class Route
{
    private readonly string[] _sources;
    private readonly CompiledExpression[] _expressions;

    /// <param name="subscription">Whose.</param>
    /// <param name="anchoredBySource">An index by source has found it, so that the source need not be asked for again.</param>
    /// <param name="paths">Where paths into the data get their slots.</param>
    public Route(Subscription subscription, bool anchoredBySource, DataPaths paths)
    {
        Subscription = subscription;
        _sources = anchoredBySource ? [] : [.. subscription.Filter.Sources];
        // Attributes first: an event that they rule out need not have its data read.
        _expressions = [.. subscription.Filter.Expressions.Select(e => new CompiledExpression(e, paths)).OrderBy(e => e.LooksIntoData)];
    }

    public Subscription Subscription { get; }

    public bool Accepts(Event @event, ref EventValues values)
    {
        if (_sources.Length > 0 && !FitsSource(@event.Source))
            return false;
        foreach (var expression in _expressions)
            if (!expression.Holds(ref values))
                return false;
        return true;
    }

    private bool FitsSource(string source)
    {
        foreach (var pattern in _sources)
            if (PatternIndex.Fits(pattern, source))
                return true;
        return false;
    }
}
