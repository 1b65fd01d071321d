namespace WebhookOperator.Engine.Http;

/// <summary>Costly things by key, each made for its first user and disposed of with its last. For any thread.</summary>
/// <param name="create">Makes the thing of a key.</param>
internal sealed class Shared<TKey, TValue>(Func<TKey, TValue> create)
    where TKey : notnull
    where TValue : class, IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, Entry> _entries = [];

    /// <summary>How many things there are.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _entries.Count;
        }
    }

    /// <summary>The thing is there until the lease is disposed of, which is once.</summary>
    public Lease Take(TKey key)
    {
        lock (_gate)
        {
            if (!_entries.TryGetValue(key, out var entry))
                _entries[key] = entry = new Entry(create(key));
            entry.Users++;
            return new Lease(this, key, entry);
        }
    }

    private void Release(TKey key, Entry entry)
    {
        lock (_gate)
        {
            if (--entry.Users > 0)
                return;
            _entries.Remove(key);
        }
        entry.Value.Dispose();
    }

    internal sealed class Entry(TValue value)
    {
        public TValue Value => value;

        public int Users { get; set; }
    }

    internal sealed class Lease(Shared<TKey, TValue> owner, TKey key, Entry entry) : IDisposable
    {
        public TValue Value => entry.Value;

        public void Dispose() => owner.Release(key, entry);
    }
}
