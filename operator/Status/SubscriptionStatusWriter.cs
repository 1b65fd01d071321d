using System.Collections.Concurrent;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Status;

/// <summary>
/// Writes the status of subscriptions: at once after a reconciliation, and on a beat what the dispatcher saw
/// meanwhile. Writes nothing where nothing changed.
/// </summary>
/// <param name="source">Where status goes.</param>
/// <param name="deliveries">Asks the dispatcher by uid; null where it does not know the subscription.</param>
/// <param name="time">For the beat and for transitions.</param>
/// <param name="instruments">Counts the writes.</param>
/// <param name="logger">Where failed writes are told.</param>
internal sealed partial class SubscriptionStatusWriter(
    IResourceSource source, Func<string, CancellationToken, Task<DeliverySnapshot?>> deliveries, TimeProvider time, Instruments instruments,
    ILogger<SubscriptionStatusWriter> logger) : IDisposable
{
    private readonly ConcurrentDictionary<ResourceKey, Known> _known = new();

    /// <summary>One write at a time, so that what was found later is written later.</summary>
    private readonly SemaphoreSlim _writer = new(1, 1);

    /// <summary>Takes over what the reconciler found, and writes it.</summary>
    public async Task ReconciledAsync(ResourceKey key, ReconciledState state, CancellationToken cancellation)
    {
        _known[key] = new Known(state, Delivery: null, Written: false);
        await WriteAsync(key, cancellation);
    }

    public void Dispose() => _writer.Dispose();

    public void Removed(ResourceKey key) => _known.TryRemove(key, out _);

    /// <summary>Writes what changed until cancelled, and once more then, so that the last word is the true one.</summary>
    public async Task RunAsync(TimeSpan interval, CancellationToken cancellation)
    {
        try
        {
            using var beat = new PeriodicTimer(interval, time);
            while (await beat.WaitForNextTickAsync(cancellation))
                await WriteChangedAsync(cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            await WriteChangedAsync(CancellationToken.None);
        }
    }

    public async Task WriteChangedAsync(CancellationToken cancellation)
    {
        foreach (var key in _known.Keys)
            await WriteAsync(key, cancellation);
    }

    private async Task WriteAsync(ResourceKey key, CancellationToken cancellation)
    {
        await _writer.WaitAsync(cancellation);
        try
        {
            await WriteNowAsync(key, cancellation);
        }
        finally
        {
            _writer.Release();
        }
    }

    private async Task WriteNowAsync(ResourceKey key, CancellationToken cancellation)
    {
        if (!_known.TryGetValue(key, out var known) || !source.TryGetSubscription(key.Namespace, key.Name, out var resource))
            return;
        try
        {
            var delivery = await deliveries(resource.Metadata.Uid, cancellation);
            if (known.Written && known.Delivery == delivery)
                return;
            await source.SaveStatusAsync(key, StatusComposer.Compose(resource, known.State, delivery, time.GetUtcNow()), cancellation);
            instruments.StatusWrites.WithLabels("success").Inc();
            // Not if the reconciler has found something else meanwhile.
            _known.TryUpdate(key, known with { Delivery = delivery, Written = true }, known);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            instruments.StatusWrites.WithLabels("error").Inc();
            WriteFailed(e, key);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The status of {Key} could not be written; it will be tried again")]
    private partial void WriteFailed(Exception exception, ResourceKey key);

    private sealed record Known(ReconciledState State, DeliverySnapshot? Delivery, bool Written);
}
