namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>
/// Tells the callers of a group what became of their calls, on threads of the pool: several callers on each, since
/// waking a thread for every one of them costs more than most of them then have to do.
/// </summary>
internal sealed class Answers : IThreadPoolWorkItem
{
    /// <summary>Few enough that the last one does not wait noticeably for those before it.</summary>
    private const int Most = 16;

    private readonly WriteOperation[] _operations;

    private Answers(WriteOperation[] operations) => _operations = operations;

    /// <summary>Returns at once. The list is the caller's again.</summary>
    public static void Send(List<WriteOperation> group)
    {
        // All cores get their share.
        var size = Math.Clamp(group.Count / Environment.ProcessorCount, 1, Most);
        for (var start = 0; start < group.Count; start += size)
        {
            var operations = group.GetRange(start, Math.Min(size, group.Count - start)).ToArray();
            ThreadPool.UnsafeQueueUserWorkItem(new Answers(operations), preferLocal: false);
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        foreach (var operation in _operations)
            operation.Tell();
    }
}
