using System.Collections.Concurrent;
using k8s;
using WebhookOperator.Api;
using WebhookOperator.Kube;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Status;

/// <summary>
/// Writes what follows from the specs of subscriptions to their status. Every replica finds that out for itself;
/// the leader writes it. Works at its own speed: no route waits for an API server that is slow to take a status.
/// </summary>
/// <param name="source">Where status goes.</param>
/// <param name="leads">Whether this replica may write now.</param>
/// <param name="tell">Where transitions are told.</param>
/// <param name="time">The times of transitions.</param>
/// <param name="instruments">Counts the writes.</param>
internal sealed class SpecStatusWriter(
    IResourceSource source, Func<bool> leads, Action<ResourceEvent> tell, TimeProvider time, Instruments instruments)
{
    private readonly ConcurrentDictionary<ResourceKey, ReconciledState> _found = new();
    private readonly ConcurrentDictionary<ResourceKey, Written> _written = new();

    /// <summary>Raised when a key has something to write; <see cref="WriteAsync"/> writes it.</summary>
    public event Action<ResourceKey>? Changed;

    /// <summary>Takes over what the reconciler found.</summary>
    public void Reconciled(ResourceKey key, ReconciledState state)
    {
        _found[key] = state;
        Changed?.Invoke(key);
    }

    public void Removed(ResourceKey key)
    {
        _found.TryRemove(key, out _);
        _written.TryRemove(key, out _);
    }

    /// <summary>This replica leads from now on: another may have written meanwhile.</summary>
    public void Lead()
    {
        _written.Clear();
        foreach (var key in _found.Keys)
            Changed?.Invoke(key);
    }

    /// <summary>Writes the status of one subscription, if it is not there already. Throws where that fails.</summary>
    public async Task<ReconcileResult> WriteAsync(ResourceKey key, CancellationToken cancellation)
    {
        if (!leads() || !_found.TryGetValue(key, out var state)
            || !source.TryGetSubscription(key.Namespace, key.Name, out var resource) || resource.Metadata.Uid != state.Uid)
            return ReconcileResult.Done;

        // What was written a moment ago may not be in the cache yet.
        var before = _written.TryGetValue(key, out var written) && written.Uid == state.Uid
            ? written.Part : resource.Status?.PartOf(StatusWriter.Controller);
        var part = StatusComposer.Compose(state, before?.Conditions, time.GetUtcNow());
        if (before is not null && KubernetesJson.Serialize(before) == KubernetesJson.Serialize(part))
            return ReconcileResult.Done;
        try
        {
            await source.SaveStatusAsync(key, state.Uid, StatusWriter.Controller, part, cancellation);
        }
        catch (LeadershipLostException)
        {
            return ReconcileResult.Done;
        }
        catch (Exception) when (!cancellation.IsCancellationRequested)
        {
            instruments.StatusWrites.WithLabels("error").Inc();
            throw;
        }
        instruments.StatusWrites.WithLabels("success").Inc();
        _written[key] = new Written(state.Uid, part);
        Tell(resource, before, part);
        return ReconcileResult.Done;
    }

    private void Tell(WebhookSubscription resource, WebhookSubscriptionStatus? before, WebhookSubscriptionStatus after)
    {
        var was = DeliveryPhase.Condition(before, ConditionTypes.Ready);
        if (DeliveryPhase.Condition(after, ConditionTypes.Ready) is not { } ready || (ready.Status, ready.Reason) == (was?.Status, was?.Reason))
            return;
        // That a new subscription is accepted is what everyone expects.
        if (ready.Status == "True" && was is null)
            return;
        tell(new ResourceEvent(resource, ready.Status != "True", ready.Reason, "Reconcile", ready.Message));
    }

    private sealed record Written(string Uid, WebhookSubscriptionStatus Part);
}
