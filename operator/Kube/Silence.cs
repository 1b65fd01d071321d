namespace WebhookOperator.Kube;

/// <summary>Ends an exchange that nothing has been heard of for too long.</summary>
internal sealed class Silence : IDisposable
{
    private readonly TimeSpan _limit;
    private readonly CancellationToken _outer;
    private readonly CancellationTokenSource _timer;
    private readonly CancellationTokenSource _either;

    public Silence(TimeSpan limit, TimeProvider time, CancellationToken cancellation)
    {
        _limit = limit;
        _outer = cancellation;
        _timer = new CancellationTokenSource(limit, time);
        _either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _timer.Token);
    }

    /// <summary>Cancelled when the silence has lasted too long, or with the outer token.</summary>
    public CancellationToken Token => _either.Token;

    /// <summary>It was the silence that ended it.</summary>
    public bool Broken => _timer.IsCancellationRequested && !_outer.IsCancellationRequested;

    public void Heard() => _timer.CancelAfter(_limit);

    public void Dispose()
    {
        _either.Dispose();
        _timer.Dispose();
    }
}
