using System.Diagnostics;

namespace WebhookOperator.Tests.Testing;

/// <summary>Waits for a state of the world, with a deadline that a slow machine keeps.</summary>
internal static class Wait
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    /// <param name="what">What is waited for: "waited in vain until …".</param>
    public static Task UntilAsync(Func<bool> condition, string what) => UntilAsync(() => Task.FromResult(condition()), () => what);

    /// <param name="what">Asked when the deadline has passed, so that it can tell how things stand.</param>
    public static async Task UntilAsync(Func<Task<bool>> condition, Func<string> what)
    {
        var clock = Stopwatch.StartNew();
        while (!await condition())
        {
            if (clock.Elapsed > Deadline)
                throw new TimeoutException($"Waited {Deadline.TotalSeconds} s in vain until {what()}");
            await Task.Delay(Interval, TimeProvider.System, TestContext.Current.CancellationToken);
        }
    }
}
