using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Store;

/// <summary>Where a store of one kind lives during a test: empty at first, and gone afterwards.</summary>
internal abstract class StoreHost : IAsyncDisposable
{
    /// <summary>Opens the same store each time.</summary>
    public abstract Task<IDeliveryStore> OpenAsync();

    public abstract ValueTask DisposeAsync();
}
