using Microsoft.Extensions.Logging.Abstractions;
using Prometheus;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Sqlite;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Tests.Engine.Store.Sqlite;

public sealed class GroupCommitTests : IAsyncDisposable
{
    private readonly SqliteHost _host = new();

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task Concurrent_calls_share_commits_and_each_is_counted()
    {
        var instruments = new Instruments(Metrics.NewCustomRegistry());
        await using var store = await SqliteStore.OpenAsync(
            _host.Path, instruments, TimeProvider.System, NullLogger.Instance, TestContext.Current.CancellationToken);

        await Task.WhenAll(Enumerable.Range(0, 500).Select(i => SqliteHost.FillAsync(store, count: 1, bodyBytes: 10, $"{i}")));
        await store.SaveStateAsync("uid", SubscriptionState.Healthy, 0, TestContext.Current.CancellationToken);

        Assert.Equal(501, instruments.StoreBatchSize.Sum);
        Assert.InRange(instruments.StoreBatchSize.Count, 2, 400);
        Assert.Equal(instruments.StoreBatchSize.Count - 1, instruments.StoreCommitDuration.WithLabels("enqueue").Count);
        Assert.Equal(1, instruments.StoreCommitDuration.WithLabels("save_state").Count);
    }
}
