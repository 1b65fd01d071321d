using Prometheus;

namespace WebhookOperator.Telemetry;

/// <summary>One subscription's own time series, from zero when it appears until it is deleted.</summary>
internal sealed class SubscriptionSeries
{
    private static readonly string[] Outcomes = ["delivered", "dead"];
    private static readonly string[] CodeClasses = ["2xx", "3xx", "4xx", "5xx", "none"];
    private static readonly string[] States = ["Closed", "Open", "HalfOpen"];
    public static readonly string[] HoldReasons = ["Suspended", "Disabled", "NotReady"];

    private readonly Instruments _instruments;
    private readonly string _namespace;
    private readonly string _name;
    private readonly Gauge.Child[] _circuit;
    private readonly Counter.Child[] _attempts;
    private readonly bool[] _held = new bool[HoldReasons.Length];

    public SubscriptionSeries(Instruments instruments, string @namespace, string name)
    {
        _instruments = instruments;
        _namespace = @namespace;
        _name = name;
        Delivered = instruments.Deliveries.WithLabels(@namespace, name, Outcomes[0]);
        Dead = instruments.Deliveries.WithLabels(@namespace, name, Outcomes[1]);
        Pending = instruments.Pending.WithLabels(@namespace, name);
        OldestPendingAge = instruments.OldestPendingAge.WithLabels(@namespace, name);
        _attempts = Array.ConvertAll(CodeClasses, c => instruments.Attempts.WithLabels(@namespace, name, c));
        _circuit = Array.ConvertAll(States, s => instruments.CircuitState.WithLabels(@namespace, name, s));
    }

    public Counter.Child Delivered { get; }
    public Counter.Child Dead { get; }
    public Gauge.Child Pending { get; }
    public Gauge.Child OldestPendingAge { get; }

    /// <summary>Attempts by the answer's status code; null means that none came.</summary>
    public Counter.Child Attempts(int? statusCode) => _attempts[statusCode switch
    {
        null => 4,
        < 300 => 0,
        < 400 => 1,
        < 500 => 2,
        _ => 3,
    }];

    /// <param name="state">0 Closed, 1 Open, 2 HalfOpen.</param>
    public void SetCircuit(int state)
    {
        for (var i = 0; i < _circuit.Length; i++)
            _circuit[i].Set(i == state ? 1 : 0);
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
                _instruments.Held.WithLabels(_namespace, _name, HoldReasons[i]).Set(1);
            else
                _instruments.Held.RemoveLabelled(_namespace, _name, HoldReasons[i]);
        }
    }

    public void Remove()
    {
        foreach (var reason in HoldReasons)
            _instruments.Held.RemoveLabelled(_namespace, _name, reason);
        foreach (var outcome in Outcomes)
            _instruments.Deliveries.RemoveLabelled(_namespace, _name, outcome);
        foreach (var codeClass in CodeClasses)
            _instruments.Attempts.RemoveLabelled(_namespace, _name, codeClass);
        foreach (var state in States)
            _instruments.CircuitState.RemoveLabelled(_namespace, _name, state);
        _instruments.Pending.RemoveLabelled(_namespace, _name);
        _instruments.OldestPendingAge.RemoveLabelled(_namespace, _name);
    }
}
