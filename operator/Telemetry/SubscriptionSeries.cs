namespace WebhookOperator.Telemetry;

/// <summary>
/// One subscription's own time series, from zero when it appears until it is deleted. Plain numbers, which
/// <see cref="SubscriptionMetrics"/> writes out: a dozen collectors' children for each of thousands of
/// subscriptions would take more memory than everything else that is known of them. Thread-safe.
/// </summary>
internal sealed class SubscriptionSeries
{
    public static readonly string[] HoldReasons = ["Suspended", "Disabled", "NotReady"];

    private readonly Instruments _instruments;
    private readonly bool[] _held = new bool[HoldReasons.Length];
    private long[]? _attempts;
    private long _delivered;
    private long _dead;
    private long _pending;
    private double _oldestPendingAge;
    private int _circuit;

    public SubscriptionSeries(Instruments instruments, string @namespace, string name)
    {
        _instruments = instruments;
        Namespace = @namespace;
        Name = name;
        instruments.Subscriptions.Add(this);
    }

    public string Namespace { get; }
    public string Name { get; }
    public long Delivered => Volatile.Read(ref _delivered);
    public long Dead => Volatile.Read(ref _dead);
    public long Pending => Volatile.Read(ref _pending);

    /// <summary>In seconds.</summary>
    public double OldestPendingAge => Volatile.Read(ref _oldestPendingAge);

    /// <summary>An index into <see cref="SubscriptionMetrics.States"/>.</summary>
    public int Circuit => Volatile.Read(ref _circuit);

    /// <param name="codeClass">An index into <see cref="SubscriptionMetrics.CodeClasses"/>.</param>
    public long Attempts(int codeClass) => Volatile.Read(ref _attempts) is { } attempts ? Volatile.Read(ref attempts[codeClass]) : 0;

    public void AddDelivered() => Interlocked.Increment(ref _delivered);

    public void AddDead(int count) => Interlocked.Add(ref _dead, count);

    /// <param name="statusCode">Null means that no answer came.</param>
    public void AddAttempt(int? statusCode)
    {
        Interlocked.Increment(ref MadeAttempts()[statusCode switch
        {
            null => 4,
            < 300 => 0,
            < 400 => 1,
            < 500 => 2,
            _ => 3,
        }]);
    }

    /// <param name="pending">How many.</param>
    /// <param name="oldestPendingAge">In seconds; 0 if none is pending.</param>
    /// <param name="circuit">0 Closed, 1 Open, 2 HalfOpen.</param>
    public void Set(long pending, double oldestPendingAge, int circuit)
    {
        Volatile.Write(ref _pending, pending);
        Volatile.Write(ref _oldestPendingAge, oldestPendingAge);
        Volatile.Write(ref _circuit, circuit);
    }

    /// <summary>Why nothing is sent. Not to be called from two threads at once.</summary>
    public void SetHeld(bool suspended, bool disabled, bool notReady)
    {
        ReadOnlySpan<bool> held = [suspended, disabled, notReady];
        for (var i = 0; i < held.Length; i++)
        {
            if (held[i] == _held[i])
                continue;
            _held[i] = held[i];
            if (held[i])
                _instruments.Held.WithLabels(Namespace, Name, HoldReasons[i]).Set(1);
            else
                _instruments.Held.RemoveLabelled(Namespace, Name, HoldReasons[i]);
        }
    }

    public void Remove()
    {
        foreach (var reason in HoldReasons)
            _instruments.Held.RemoveLabelled(Namespace, Name, reason);
        _instruments.Subscriptions.Remove(this);
    }

    private long[] MadeAttempts()
    {
        if (Volatile.Read(ref _attempts) is { } attempts)
            return attempts;
        var first = new long[SubscriptionMetrics.CodeClasses.Length];
        return Interlocked.CompareExchange(ref _attempts, first, null) ?? first;
    }
}
