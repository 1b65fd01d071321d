using Microsoft.Extensions.Logging.Abstractions;
using Prometheus;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Sqlite;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Tests.Engine.Store.Sqlite;

/// <summary>A store in a directory of its own.</summary>
internal sealed class SqliteHost : StoreHost
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("store-");

    public string Path => System.IO.Path.Combine(_directory.FullName, "store.db");

    public static Task<SqliteStore> OpenAsync(string path) => SqliteStore.OpenAsync(
        path, new Instruments(Metrics.NewCustomRegistry()), TimeProvider.System, NullLogger.Instance,
        TestContext.Current.CancellationToken);

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
