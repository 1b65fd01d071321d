using System.Collections.Concurrent;
using System.Diagnostics;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Store.Sqlite;

public sealed class KillTests : IAsyncDisposable
{
    private const string PathVariable = "STORE_KILL_TEST_PATH";
    private const string Acknowledged = "acknowledged ";

    private readonly SqliteHost _host = new();

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_was_acknowledged_is_there_after_a_kill()
    {
        var acknowledged = new HashSet<string>();
        for (var round = 1; round <= 3; round++)
            acknowledged.UnionWith(await EnqueueUntilKilledAsync(atLeast: round * 500));

        await using var store = await SqliteHost.OpenAsync(_host.Path);
        var found = new HashSet<string>();
        DeliveryId? before = null;
        do
        {
            var page = await store.ListDeliveriesAsync(SqliteHost.Subscription.Uid, new DeliveryQuery(null, null, 500, before), Token);
            found.UnionWith(page.Items.Select(item => item.Id.ToString()));
            before = page.Continue;
        }
        while (before is not null);
        Assert.True(acknowledged.Count >= 3000);
        Assert.Subset(found, acknowledged);
    }

    /// <summary>Not a test: what the test above starts as a process of its own, and kills.</summary>
    [Fact(Explicit = true)]
    public async Task Enqueue_until_killed()
    {
        var path = Environment.GetEnvironmentVariable(PathVariable);
        Assert.SkipWhen(path is null, $"{PathVariable} is not set.");
        await using var store = await SqliteHost.OpenAsync(path!);
        await using var output = Console.OpenStandardOutput();
        var lines = new BlockingCollection<string>();
        var writing = Task.Run(() =>
        {
            foreach (var line in lines.GetConsumingEnumerable())
                output.Write(System.Text.Encoding.ASCII.GetBytes($"{Acknowledged}{line}\n"));
        }, Token);
        await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(async () =>
        {
            while (true)
            {
                foreach (var result in await SqliteHost.FillAsync(store, count: 2, bodyBytes: 500, prefix: Guid.NewGuid().ToString()))
                    lines.Add(result.Pending[0].Id.ToString());
            }
        })).Append(writing));
    }

    private async Task<List<string>> EnqueueUntilKilledAsync(int atLeast)
    {
        var start = new ProcessStartInfo("dotnet",
        [
            Path.Combine(AppContext.BaseDirectory, "WebhookOperator.Tests.dll"), "-explicit", "only",
            "-method", $"{typeof(KillTests).FullName}.{nameof(Enqueue_until_killed)}",
        ])
        {
            RedirectStandardOutput = true,
            Environment = { [PathVariable] = _host.Path },
        };
        using var process = Process.Start(start)!;
        var (acknowledged, other) = (new List<string>(), new List<string>());
        try
        {
            while (acknowledged.Count < atLeast && await process.StandardOutput.ReadLineAsync(Token) is { } line)
            {
                if (line.StartsWith(Acknowledged, StringComparison.Ordinal))
                    acknowledged.Add(line[Acknowledged.Length..]);
                else
                    other.Add(line);
            }
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync(CancellationToken.None);
        }
        Assert.True(acknowledged.Count >= atLeast, string.Join('\n', other));
        return acknowledged;
    }
}
