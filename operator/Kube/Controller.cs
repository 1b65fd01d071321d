using Prometheus;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Kube;

/// <summary>
/// Looks at every key that its queue gives, several at once but never one key twice at the same time, and again at all
/// keys every 10 h: a change that was missed somewhere is made good then at the latest.
/// </summary>
/// <remarks>
/// The loop around KubeOps' <c>IEntityController.ReconcileAsync</c> and <c>FinalizeAsync</c>. Here one function does both,
/// given the key only: what it does follows from the state of the world, an object that is gone included.
/// </remarks>
internal sealed partial class Controller<TKey> where TKey : notnull
{
    private static readonly TimeSpan Resync = TimeSpan.FromHours(10);

    private readonly WorkQueue<TKey> _queue;
    private readonly Func<TKey, CancellationToken, Task<ReconcileResult>> _reconcile;
    private readonly Func<IEnumerable<TKey>> _all;
    private readonly int _workers;
    private readonly string _name;
    private readonly TimeProvider _time;
    private readonly Func<double> _random;
    private readonly ILogger _logger;
    private readonly Histogram.Child _duration;
    private readonly Dictionary<ReconcileOutcome, Counter.Child> _results;

    /// <param name="name">In metrics and log: the kind in lower case.</param>
    /// <param name="reconcile">Whatever it throws is a fault that may pass.</param>
    /// <param name="all">Every key that there is; asked at the start and at every resync.</param>
    /// <param name="workers">How many keys are looked at at once.</param>
    /// <param name="random">Evenly from 0 to 1.</param>
    public Controller(
        string name, WorkQueue<TKey> queue, Func<TKey, CancellationToken, Task<ReconcileResult>> reconcile,
        Func<IEnumerable<TKey>> all, int workers, TimeProvider time, Func<double> random, Instruments instruments, ILogger logger)
    {
        _name = name;
        _queue = queue;
        _reconcile = reconcile;
        _all = all;
        _workers = workers;
        _time = time;
        _random = random;
        _logger = logger;
        _duration = instruments.ReconcileDuration.WithLabels(name);
        _results = new()
        {
            [ReconcileOutcome.Done] = instruments.Reconciles.WithLabels(name, "success"),
            [ReconcileOutcome.Again] = instruments.Reconciles.WithLabels(name, "requeue_after"),
            [ReconcileOutcome.Retry] = instruments.Reconciles.WithLabels(name, "error"),
            [ReconcileOutcome.Terminal] = instruments.Reconciles.WithLabels(name, "terminal"),
        };
    }

    /// <summary>Runs until cancelled, and then until the last look is over. Call once; the queue's owner disposes of it after.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task[] loops = [ResyncAsync(stop.Token), .. Enumerable.Range(0, _workers).Select(_ => WorkAsync(stop.Token))];
        // One that ends is a fault of the program, and must not go unnoticed behind the others.
        await Task.WhenAny(loops);
        await stop.CancelAsync();
        await Task.WhenAll(loops);
    }

    private async Task ResyncAsync(CancellationToken cancellation)
    {
        while (true)
        {
            foreach (var key in _all())
                _queue.Add(key);
            // Spread, so that replicas do not all do so at the same time for ever.
            await Task.Delay(Resync * (0.9 + 0.2 * _random()), _time, cancellation);
        }
    }

    private async Task WorkAsync(CancellationToken cancellation)
    {
        while (true)
        {
            var key = await _queue.TakeAsync(cancellation);
            try
            {
                await LookAtAsync(key, cancellation);
            }
            finally
            {
                _queue.Done(key);
            }
        }
    }

    private async Task LookAtAsync(TKey key, CancellationToken cancellation)
    {
        var start = _time.GetTimestamp();
        ReconcileResult result;
        try
        {
            result = await _reconcile(key, cancellation);
            if (result.Outcome == ReconcileOutcome.Retry)
                Retry(_name, key, result.Why!);
            else if (result.Outcome == ReconcileOutcome.Terminal)
                Terminal(_name, key, result.Why!);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            result = ReconcileResult.Retry(e.Message);
            Failed(e, _name, key);
        }
        if (result.Outcome == ReconcileOutcome.Retry)
            _queue.AddAfterFailure(key);
        else
            _queue.Forgive(key);
        if (result.Again is { } again)
            _queue.AddAt(key, again);
        // Last: who reads them finds the key where it belongs.
        _duration.Observe(_time.GetElapsedTime(start).TotalSeconds);
        _results[result.Outcome].Inc();
    }

    [LoggerMessage(LogLevel.Error, "{Controller} {Key} could not be reconciled and will be tried again")]
    private partial void Failed(Exception exception, string controller, TKey key);

    [LoggerMessage(LogLevel.Warning, "{Controller} {Key} will be tried again: {Why}")]
    private partial void Retry(string controller, TKey key, string why);

    [LoggerMessage(LogLevel.Warning, "{Controller} {Key} can't be served until it changes: {Why}")]
    private partial void Terminal(string controller, TKey key, string why);
}
