namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// Bounds the payload bytes that all lanes hold in memory together. A lane may always hold one delivery, so
/// that lanes full of slow receivers cannot starve the others; every further one must fit.
/// </summary>
internal sealed class WindowBudget(long bytes)
{
    private long _free = bytes;

    /// <summary>Below zero where single deliveries were taken beyond the bound.</summary>
    public long Free => Volatile.Read(ref _free);

    /// <summary>Takes the bytes if they fit.</summary>
    public bool TryTake(long size)
    {
        if (Interlocked.Add(ref _free, -size) >= 0)
            return true;
        Interlocked.Add(ref _free, size);
        return false;
    }

    /// <summary>Takes the bytes even if they don't fit: for a lane's only delivery, and for what was read already.</summary>
    public void Take(long size) => Interlocked.Add(ref _free, -size);

    public void Release(long size) => Interlocked.Add(ref _free, size);
}
