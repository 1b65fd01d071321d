namespace WebhookOperator.Reconcile;

/// <summary>
/// What a reconciliation asks for: nothing more, or another look at a time. A spec that can't work is done: it
/// is looked at again when it, or what it names, changes. A fault that may pass is an exception.
/// </summary>
/// <param name="Again">When to look again; null to wait for a change.</param>
internal readonly record struct ReconcileResult(DateTimeOffset? Again)
{
    public static readonly ReconcileResult Done;
}
