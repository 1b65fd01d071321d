using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// The circuit of one lane through changes of its subscription. Not thread-safe: its lane calls it under its lock.
/// It calls the lane from within requests, outside of that lock.
/// </summary>
internal sealed class LaneCircuit
{
    private readonly LaneContext _context;
    private readonly Action _moved;
    private CircuitSnapshot _closed;
    private CircuitBreaker? _breaker;

    /// <param name="context">Clock and log.</param>
    /// <param name="subscription">Whose.</param>
    /// <param name="inherited">As another process left it; null if closed.</param>
    /// <param name="moved">Called when the circuit has opened or closed.</param>
    public LaneCircuit(LaneContext context, Subscription subscription, BrokenCircuit? inherited, Action moved)
    {
        _context = context;
        _moved = moved;
        _closed = NewClosed();
        if (inherited is not null)
            _breaker = NewBreaker(subscription, inherited);
    }

    public CircuitSnapshot Snapshot => _breaker?.Snapshot ?? _closed;

    /// <summary>For another process to go on from; null while it is closed.</summary>
    public BrokenCircuit? Broken => Snapshot is { Position: not CircuitPosition.Closed } circuit
        ? new BrokenCircuit(circuit.Since, circuit.NextProbeTime ?? circuit.Since, circuit.FailedProbes) : null;

    /// <summary>Made with the first request: most lanes of a large fleet are idle, and Polly's pipeline is not small.</summary>
    public CircuitBreaker BreakerFor(Subscription subscription) => _breaker ??= NewBreaker(subscription);

    /// <summary>A changed spec begins with a closed circuit; one that was closed stays so since when it was.</summary>
    public void Update(Subscription before, Subscription subscription)
    {
        if (subscription.Generation == before.Generation && subscription.Endpoint?.Timeout == before.Endpoint?.Timeout)
            return;
        _closed = Snapshot is { Position: CircuitPosition.Closed } closed ? closed : NewClosed();
        _breaker = null;
    }

    private CircuitSnapshot NewClosed() => new(CircuitPosition.Closed, _context.Time.GetUtcNow(), null);

    private CircuitBreaker NewBreaker(Subscription subscription, BrokenCircuit? inherited = null)
    {
        var name = subscription.Name;
        return new CircuitBreaker(
            subscription.Delivery.CircuitBreaker, subscription.Endpoint?.Timeout ?? Endpoint.DefaultTimeout, _context.Time,
            snapshot =>
            {
                if (snapshot.Position == CircuitPosition.Open)
                    _context.Logger.CircuitOpened(name, snapshot.NextProbeTime);
                else if (snapshot.Position == CircuitPosition.Closed)
                    _context.Logger.CircuitClosed(name);
                if (snapshot.Position != CircuitPosition.HalfOpen)
                    _moved();
            },
            _closed.Since, inherited);
    }
}
