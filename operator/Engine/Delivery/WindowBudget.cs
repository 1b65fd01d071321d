namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// Bounds the bytes that all lanes hold in memory together. A lane may always hold one delivery, so that lanes full of
/// slow receivers cannot starve the others; every further one must fit, and those of a lane that holds more than its
/// share must leave half of all to the others.
/// </summary>
internal sealed class WindowBudget(long bytes)
{
    private readonly long _half = bytes / 2;
    private long _free = bytes;

    /// <summary>Below zero where single deliveries were taken beyond the bound.</summary>
    public long Free => Volatile.Read(ref _free);

    /// <summary>Takes the bytes if they fit.</summary>
    public bool TryTake(long size) => TryTake(size, 0);

    /// <summary>Takes the bytes if half of all stays free.</summary>
    public bool TryTakeSpare(long size) => TryTake(size, _half);

    /// <summary>Takes the bytes even if they don't fit: for a lane's only delivery, and for what was read already.</summary>
    public void Take(long size) => Interlocked.Add(ref _free, -size);

    public void Release(long size) => Interlocked.Add(ref _free, size);

    private bool TryTake(long size, long left)
    {
        if (Interlocked.Add(ref _free, -size) >= left)
            return true;
        Interlocked.Add(ref _free, size);
        return false;
    }
}
