using WebhookOperator.Api;

namespace WebhookOperator.Reconcile;

/// <summary>Tells when each of the keys that were there at the start has been looked at once. For any thread.</summary>
internal sealed class FirstPass
{
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private HashSet<ResourceKey>? _left;

    public Task Done => _done.Task;

    /// <summary>To be called once, before any of them is looked at.</summary>
    public void Begin(IEnumerable<ResourceKey> keys)
    {
        lock (_gate)
        {
            _left = [.. keys];
            if (_left.Count == 0)
                _done.TrySetResult();
        }
    }

    /// <summary>The key was looked at, with whatever result.</summary>
    public void Seen(ResourceKey key)
    {
        if (_done.Task.IsCompleted)
            return;
        lock (_gate)
        {
            if (_left?.Remove(key) == true && _left.Count == 0)
                _done.TrySetResult();
        }
    }
}
