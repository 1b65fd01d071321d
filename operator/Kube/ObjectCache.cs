using System.Diagnostics.CodeAnalysis;
using k8s;
using k8s.Models;

namespace WebhookOperator.Kube;

/// <summary>
/// The objects of one kind as the API server last told, kept up to date by one or more <see cref="ListWatch{T}"/>,
/// each for a namespace of its own. Reading never waits. An object handed out is not to be changed. For any thread.
/// </summary>
internal sealed class ObjectCache<T> where T : class, IKubernetesObject<V1ObjectMeta>
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ObjectName, T> _items = [];
    private readonly TaskCompletionSource _synced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private T[]? _snapshot = [];
    private int _unsynced;

    /// <summary>
    /// Called with the name of every object that was added, changed or removed, any number of times, after the
    /// cache has it, from the thread of its <see cref="ListWatch{T}"/>. Must neither block nor throw.
    /// </summary>
    public event Action<ObjectName>? Changed;

    /// <summary>True once every <see cref="ListWatch{T}"/> has listed all of its objects; stays true.</summary>
    public bool Synced => _synced.Task.IsCompleted;

    /// <summary>Completes with <see cref="Synced"/>.</summary>
    public Task WhenSynced => _synced.Task;

    /// <summary>All objects as of now; later changes do not show in it. Costs nothing between two changes.</summary>
    public IReadOnlyCollection<T> Items
    {
        get
        {
            lock (_gate)
                return _snapshot ??= [.. _items.Values];
        }
    }

    public int Count
    {
        get
        {
            lock (_gate)
                return _items.Count;
        }
    }

    public bool TryGet(string @namespace, string name, [NotNullWhen(true)] out T? item)
    {
        lock (_gate)
            return _items.TryGetValue(new ObjectName(@namespace, name), out item);
    }

    /// <summary>Announces one that will fill the cache: not synced before it is. All are announced before the first runs.</summary>
    /// <param name="namespace">Its objects are of this namespace, and no other feed has any there; null for all there are.</param>
    public Feed AddFeed(string? @namespace)
    {
        lock (_gate)
            _unsynced++;
        return new Feed(this, @namespace);
    }

    /// <summary>What one <see cref="ListWatch{T}"/> tells. For one thread at a time.</summary>
    internal sealed class Feed(ObjectCache<T> cache, string? @namespace)
    {
        private bool _synced;

        /// <summary>An object as it is now.</summary>
        public void Put(T item)
        {
            var name = ObjectName.Of(item);
            lock (cache._gate)
            {
                // A list tells again of what has not changed.
                if (cache._items.TryGetValue(name, out var before) && before.Metadata.Uid == item.Metadata.Uid
                    && before.Metadata.ResourceVersion == item.Metadata.ResourceVersion)
                    return;
                cache._items[name] = item;
                cache._snapshot = null;
            }
            cache.Changed?.Invoke(name);
        }

        public void Remove(ObjectName name)
        {
            lock (cache._gate)
            {
                if (!cache._items.Remove(name))
                    return;
                cache._snapshot = null;
            }
            cache.Changed?.Invoke(name);
        }

        /// <summary>These are all: any other of this feed is gone.</summary>
        public void Listed(HashSet<ObjectName> names)
        {
            ObjectName[] gone;
            lock (cache._gate)
                gone = [.. cache._items.Keys.Where(name => (@namespace is null || name.Namespace == @namespace) && !names.Contains(name))];
            foreach (var name in gone)
                Remove(name);
            if (_synced)
                return;
            _synced = true;
            lock (cache._gate)
            {
                if (--cache._unsynced == 0)
                    cache._synced.TrySetResult();
            }
        }
    }
}
