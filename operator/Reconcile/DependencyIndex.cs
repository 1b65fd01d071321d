using System.Collections.Immutable;
using WebhookOperator.Api;

namespace WebhookOperator.Reconcile;

/// <summary>Which resources were made from which, so that a change finds those to look at again. For any thread.</summary>
internal sealed class DependencyIndex
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ResourceKey, ImmutableArray<ResourceKey>> _needs = [];
    private readonly Dictionary<ResourceKey, HashSet<ResourceKey>> _dependents = [];

    /// <summary>Says all that the resource is made from; nothing takes it out.</summary>
    public void Set(ResourceKey dependent, ImmutableArray<ResourceKey> needs)
    {
        lock (_gate)
        {
            if (_needs.Remove(dependent, out var before))
            {
                foreach (var need in before.Except(needs))
                {
                    if (_dependents.TryGetValue(need, out var set) && set.Remove(dependent) && set.Count == 0)
                        _dependents.Remove(need);
                }
            }
            if (needs.IsEmpty)
                return;
            _needs[dependent] = needs;
            foreach (var need in needs)
            {
                if (!_dependents.TryGetValue(need, out var set))
                    _dependents[need] = set = [];
                set.Add(dependent);
            }
        }
    }

    public ImmutableArray<ResourceKey> DependentsOf(ResourceKey need)
    {
        lock (_gate)
            return _dependents.TryGetValue(need, out var set) ? [.. set] : [];
    }
}
