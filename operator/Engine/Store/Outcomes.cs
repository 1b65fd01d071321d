namespace WebhookOperator.Engine.Store;

/// <summary>A call to a store whose outcome is known, and whose caller has not been told yet.</summary>
internal interface IOutcome
{
    /// <summary>Ends the caller's task. What the caller goes on with may run before this returns, but for awaits.</summary>
    void Tell();
}

/// <summary>
/// Tells the callers of a group what became of their calls, on threads of the pool: several callers on each, since
/// waking a thread for every one of them costs more than most of them then have to do. What they start sets out in one convoy.
/// </summary>
internal sealed class Outcomes : IThreadPoolWorkItem
{
    /// <summary>Few enough that the last one does not wait noticeably for those before it.</summary>
    private const int Most = 16;

    private readonly IOutcome[] _outcomes;

    private Outcomes(IOutcome[] outcomes) => _outcomes = outcomes;

    /// <summary>Returns at once. The list is the caller's again.</summary>
    public static void Send(IReadOnlyList<IOutcome> group)
    {
        // All cores get their share.
        var size = Math.Clamp(group.Count / Environment.ProcessorCount, 1, Most);
        for (var start = 0; start < group.Count; start += size)
        {
            var outcomes = new IOutcome[Math.Min(size, group.Count - start)];
            for (var i = 0; i < outcomes.Length; i++)
                outcomes[i] = group[start + i];
            ThreadPool.UnsafeQueueUserWorkItem(new Outcomes(outcomes), preferLocal: false);
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        using var formation = Convoy.Form();
        foreach (var outcome in _outcomes)
            outcome.Tell();
    }
}
