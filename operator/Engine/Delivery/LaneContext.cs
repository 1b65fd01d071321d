using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>Makes one HTTP request; throws only <see cref="OperationCanceledException"/>, when it is cancelled.</summary>
internal delegate Task<SendResult> SendRequest(Subscription subscription, PendingDelivery delivery, CancellationToken cancellation);

/// <summary>What all lanes share.</summary>
internal sealed class LaneContext(
    IDeliveryStore store, SendRequest send, Instruments instruments, TimeProvider time, Func<double> random,
    ILogger logger, Action<AttemptReport>? onAttempt) : IDisposable
{
    /// <summary>
    /// Bounds what is due and in memory; deliveries beyond it stay in the store until there is room. A share of what the
    /// process may use, so that a burst need not be read again where there is memory, and a small pod is not killed for it.
    /// </summary>
    private static readonly long WindowBytes = Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 8, 64L << 20, 256L << 20);

    private static readonly TimeSpan FirstStoreRetry = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestStoreRetry = TimeSpan.FromSeconds(5);
    private long _pending;

    public IDeliveryStore Store => store;
    public SendRequest Send => send;
    public Instruments Instruments => instruments;
    public TimeProvider Time => time;
    public Func<double> Random => random;
    public ILogger Logger => logger;
    public Action<AttemptReport>? OnAttempt => onAttempt;
    public WakeQueue WakeQueue { get; } = new(time);
    public WindowBudget Budget { get; } = new(WindowBytes);

    /// <summary>Pending deliveries of all lanes.</summary>
    public long Pending => Volatile.Read(ref _pending);

    public void AddPending(long change) => Interlocked.Add(ref _pending, change);

    /// <summary>Repeats what must become durable until the store takes it; gives up only when cancelled.</summary>
    /// <param name="state">For <paramref name="write"/>, which then need not capture anything.</param>
    /// <param name="write">One try.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task<T> PersistAsync<TState, T>(TState state, Func<TState, CancellationToken, Task<T>> write, CancellationToken cancellation)
    {
        for (var wait = FirstStoreRetry; ; wait = wait * 2 < LongestStoreRetry ? wait * 2 : LongestStoreRetry)
        {
            try
            {
                return await write(state, cancellation);
            }
            catch (StoreUnavailableException e)
            {
                logger.StoreRetry(wait.TotalSeconds, e.Message);
                await Task.Delay(wait, time, cancellation);
            }
        }
    }

    /// <inheritdoc cref="PersistAsync{TState, T}"/>
    public Task<T> PersistAsync<T>(Func<CancellationToken, Task<T>> write, CancellationToken cancellation) =>
        PersistAsync(write, static (write, token) => write(token), cancellation);

    /// <inheritdoc cref="PersistAsync{TState, T}"/>
    public Task PersistAsync(Func<CancellationToken, Task> write, CancellationToken cancellation) =>
        PersistAsync(
            async token =>
            {
                await write(token);
                return true;
            },
            cancellation);

    public void Dispose() => WakeQueue.Dispose();
}
