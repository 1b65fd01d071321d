using System.Collections.Frozen;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Reconcile;

/// <summary>
/// Gathers the subscriptions that are routed and compiles the tables of the namespaces that changed. For one thread.
/// </summary>
internal sealed class RouteTableBuilder(RouteSource routes)
{
    private static readonly RouteTable NoSubscriptions = RouteTable.Build([]);

    private readonly Dictionary<string, Dictionary<string, Subscription>> _subscriptions = new(StringComparer.Ordinal);
    private readonly HashSet<string> _changed = new(StringComparer.Ordinal);

    public void Put(Subscription subscription)
    {
        var (@namespace, name) = subscription.Name;
        if (!_subscriptions.TryGetValue(@namespace, out var inNamespace))
            _subscriptions[@namespace] = inNamespace = new(StringComparer.Ordinal);
        inNamespace[name] = subscription;
        _changed.Add(@namespace);
    }

    public void Remove(NamespacedName name)
    {
        if (!_subscriptions.TryGetValue(name.Namespace, out var inNamespace) || !inNamespace.Remove(name.Name))
            return;
        if (inNamespace.Count == 0)
            _subscriptions.Remove(name.Namespace);
        _changed.Add(name.Namespace);
    }

    /// <summary>Puts what changed in force, in one step.</summary>
    /// <param name="namespaces">What exists, also without a subscription.</param>
    public void Publish(IReadOnlySet<string> namespaces)
    {
        var current = routes.Current;
        var known = namespaces.Union(_subscriptions.Keys).ToHashSet(StringComparer.Ordinal);
        if (_changed.Count == 0 && known.SetEquals(current.Namespaces))
            return;
        var tables = new Dictionary<string, RouteTable>(StringComparer.Ordinal);
        foreach (var name in known)
        {
            tables[name] = !_changed.Contains(name) && current.TryGet(name, out var table) ? table
                : _subscriptions.TryGetValue(name, out var subscriptions) ? RouteTable.Build(subscriptions.Values)
                : NoSubscriptions;
        }
        _changed.Clear();
        routes.Swap(new Routes(tables.ToFrozenDictionary(StringComparer.Ordinal)));
    }
}
