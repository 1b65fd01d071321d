using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Delivery;

/// <summary>Ids, each for a while. Not thread-safe.</summary>
internal sealed class RecentIds
{
    private readonly HashSet<DeliveryId> _ids = [];
    private readonly Queue<(DeliveryId Id, DateTimeOffset Time)> _order = new();

    public void Add(DeliveryId id, DateTimeOffset now)
    {
        if (_ids.Add(id))
            _order.Enqueue((id, now));
    }

    /// <summary>True if it was there.</summary>
    public bool Remove(DeliveryId id) => _ids.Remove(id);

    /// <summary>This without what was added before; null if nothing is left.</summary>
    public RecentIds? Since(DateTimeOffset time)
    {
        while (_order.TryPeek(out var oldest) && oldest.Time < time)
        {
            _order.Dequeue();
            _ids.Remove(oldest.Id);
        }
        return _ids.Count == 0 ? null : this;
    }
}
