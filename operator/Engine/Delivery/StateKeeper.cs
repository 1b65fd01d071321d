using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>Saves a subscription's newest state, one write at a time; states that were overtaken meanwhile are skipped.</summary>
internal sealed class StateKeeper(LaneContext context, string uid, long claim, CancellationToken stop)
{
    private readonly Lock _gate = new();
    private SubscriptionState? _wanted;
    private bool _saving;
    private Task _run = Task.CompletedTask;

    /// <summary>Returns at once. Repeats a write that fails until the lane stops.</summary>
    public void Save(SubscriptionState state)
    {
        lock (_gate)
        {
            _wanted = state;
            if (_saving)
                return;
            _saving = true;
            _run = SaveAsync();
        }
    }

    /// <summary>Completes once what was to be saved is saved, or never will be.</summary>
    public Task FlushAsync()
    {
        lock (_gate)
            return _run;
    }

    private async Task SaveAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            while (TakeWanted() is { } state)
                await context.PersistAsync(token => context.Store.SaveStateAsync(uid, state, claim, token), stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The receiver's next answer tells the same again.
        }
        catch (Exception e)
        {
            context.Logger.LoopFault($"Saving the state of subscription {uid}", e);
            lock (_gate)
                _saving = false;
        }
    }

    private SubscriptionState? TakeWanted()
    {
        lock (_gate)
        {
            var state = _wanted;
            _wanted = null;
            _saving = state is not null;
            return state;
        }
    }
}
