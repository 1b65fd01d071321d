namespace WebhookOperator.Kube;

internal enum ReconcileOutcome
{
    /// <summary>The world is as it should be; the next look comes with a change.</summary>
    Done,

    /// <summary>As it should be, and to be looked at again at a time.</summary>
    Again,

    /// <summary>A fault that may pass: to be tried again after a wait that doubles.</summary>
    Retry,

    /// <summary>A fault that only a change of the object, or of what it names, can mend.</summary>
    Terminal,
}

/// <summary>What a reconciliation asks for: exactly one of four things. An exception is a retry too.</summary>
/// <remarks>
/// KubeOps' <c>ReconciliationResult</c>: <c>Success(entity)</c> is <see cref="Done"/>, with <c>requeueAfter</c> it is
/// <see cref="AgainAt"/>, <c>Failure</c> is <see cref="Retry"/>; what is terminal is a success there whose status tells.
/// </remarks>
internal readonly record struct ReconcileResult
{
    private ReconcileResult(ReconcileOutcome outcome, DateTimeOffset? again, string? why)
    {
        Outcome = outcome;
        Again = again;
        Why = why;
    }

    public static ReconcileResult Done => default;

    public ReconcileOutcome Outcome { get; }

    /// <summary>When to look again; null unless the outcome is that.</summary>
    public DateTimeOffset? Again { get; }

    /// <summary>What the fault is, for the log; null where there is none.</summary>
    public string? Why { get; }

    /// <summary>Another look at a time, or <see cref="Done"/> for null.</summary>
    public static ReconcileResult AgainAt(DateTimeOffset? time) =>
        time is null ? Done : new ReconcileResult(ReconcileOutcome.Again, time, null);

    public static ReconcileResult Retry(string why) => new(ReconcileOutcome.Retry, null, why);

    public static ReconcileResult Terminal(string why) => new(ReconcileOutcome.Terminal, null, why);
}
