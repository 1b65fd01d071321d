using System.Collections.Immutable;
using Microsoft.Extensions.Logging.Abstractions;
using Prometheus;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Sqlite;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Tests.Engine.Store.Sqlite;

/// <summary>A store in a directory of its own.</summary>
internal sealed class SqliteHost : StoreHost
{
    public static readonly DateTimeOffset AcceptedTime = new(2025, 6, 1, 12, 0, 0, TimeSpan.Zero);

    public static readonly Subscription Subscription = new()
    {
        Uid = "uid-filled",
        Name = new NamespacedName("shop", "filled"),
        Generation = 1,
        Filter = Filter.All,
        Delivery = new DeliveryPolicy(),
    };

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("store-");

    public string Path => System.IO.Path.Combine(_directory.FullName, "store.db");

    public static Task<SqliteStore> OpenAsync(string path, Instruments? instruments = null) => SqliteStore.OpenAsync(
        path, instruments ?? new Instruments(Metrics.NewCustomRegistry()), TimeProvider.System, NullLogger.Instance,
        TestContext.Current.CancellationToken);

    /// <summary>Enqueues events with one delivery each, in one call.</summary>
    public static Task<ImmutableArray<EnqueueResult>> FillAsync(SqliteStore store, int count, int bodyBytes, string prefix = "fill")
    {
        var events = Enumerable.Range(0, count).Select(i => new NewEvent("shop", new Event
        {
            Id = $"{prefix}-{i}",
            Source = "/shop",
            Type = "com.acme.order.created",
            Encoding = EventEncoding.Binary,
            Body = new byte[bodyBytes],
            DataRange = 0..bodyBytes,
        }, [Subscription], AcceptedTime));
        return store.EnqueueAsync([.. events], TestContext.Current.CancellationToken);
    }

    public static async Task UntilAsync(Func<bool> condition)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        timeout.CancelAfter(TimeSpan.FromSeconds(30));
        while (!condition())
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, timeout.Token);
    }

    public override async Task<IDeliveryStore> OpenAsync() => await OpenAsync(Path);

    public override ValueTask DisposeAsync()
    {
        _directory.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }
}

public sealed class SqliteEnqueueTests() : EnqueueContract(new SqliteHost());

public sealed class SqliteSettleTests() : SettleContract(new SqliteHost());

public sealed class SqliteUpkeepTests() : UpkeepContract(new SqliteHost());
