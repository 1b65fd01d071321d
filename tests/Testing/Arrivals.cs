namespace WebhookOperator.Tests.Testing;

/// <summary>What has arrived so far, and a way to wait for more. Thread-safe.</summary>
internal sealed class Arrivals<T>
{
    private readonly Lock _lock = new();
    private readonly List<T> _items = [];
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyList<T> All
    {
        get
        {
            lock (_lock)
                return [.. _items];
        }
    }

    public void Add(T item)
    {
        TaskCompletionSource more;
        lock (_lock)
        {
            _items.Add(item);
            (more, _more) = (_more, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        more.SetResult();
    }

    /// <summary>All that has arrived, once it is at least so many.</summary>
    /// <exception cref="TimeoutException">Not within the deadline.</exception>
    public async Task<IReadOnlyList<T>> WaitForAsync(int count, TimeSpan deadline)
    {
        using var timer = new CancellationTokenSource(deadline);
        while (true)
        {
            Task more;
            lock (_lock)
            {
                if (_items.Count >= count)
                    return [.. _items];
                more = _more.Task;
            }
            try
            {
                await more.WaitAsync(timer.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"{All.Count} of {count} arrived within {deadline.TotalSeconds} s.");
            }
        }
    }
}
