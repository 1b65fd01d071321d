using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>What has to be done now and then: deliveries that grew too old end, and old events are deleted.</summary>
internal sealed class Upkeep(
    IDeliveryStore store, Dispatcher dispatcher, TimeSpan retention, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    /// <summary>Between two chunks, so that deletion never crowds out deliveries.</summary>
    private static readonly TimeSpan Breath = TimeSpan.FromMilliseconds(20);

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            try
            {
                await dispatcher.ExpireAsync(retention, cancellation);
                while (await store.SweepAsync(time.GetUtcNow() - retention, cancellation) > 0)
                    await Task.Delay(Breath, time, cancellation);
            }
            catch (StoreUnavailableException e)
            {
                logger.StoreRetry(Interval.TotalSeconds, e.Message);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                logger.LoopFault("Upkeep", e);
            }
        }
        while (await timer.WaitForNextTickAsync(cancellation));
    }
}
