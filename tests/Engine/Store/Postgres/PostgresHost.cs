using Microsoft.Extensions.Logging.Abstractions;
using Prometheus;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Postgres;
using WebhookOperator.Telemetry;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Store.Postgres;

/// <summary>A store in a database of its own, at the time of which the contract's tests tell.</summary>
/// <param name="claims">What is stored is said to be sent at once by a member of this process.</param>
internal sealed class PostgresHost(bool claims = false) : StoreHost
{
    private readonly List<IShardSession> _members = [];
    private PostgresServer? _server;
    private string? _database;

    public string Database => _database!;

    public PostgresServer Server => _server!;

    public static async Task<PostgresStore> OpenAsync(string connectionString, Instruments? instruments = null, TimeProvider? time = null) =>
        await PostgresStore.OpenAsync(
            connectionString, instruments ?? new Instruments(Metrics.NewCustomRegistry()), time ?? TimeProvider.System, NullLogger.Instance,
            TestContext.Current.CancellationToken);

    public async Task<string> ConnectionStringAsync()
    {
        _server ??= await SharedPostgres.GetAsync();
        _database ??= await _server.CreateDatabaseAsync();
        return _server.ConnectionString(_database);
    }

    public override async Task<IDeliveryStore> OpenAsync()
    {
        var store = await OpenAsync(await ConnectionStringAsync(), time: new ContractTime());
        if (claims)
            _members.Add(await ClaimAsync(store));
        return store;
    }

    /// <summary>Joins, and says of every delivery that it will be sent at once.</summary>
    public static async Task<IShardSession> ClaimAsync(PostgresStore store)
    {
        var member = await store.JoinAsync(new HashSet<long>(), TestContext.Current.CancellationToken);
        store.ClaimOf = _ => member.Claim;
        return member;
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (var member in _members)
            await member.DisposeAsync();
        if (_database is not null)
            await _server!.DropDatabaseAsync(_database);
    }

    private sealed class ContractTime : TimeProvider
    {
        private readonly TimeSpan _shift = Start - System.GetUtcNow();

        private static DateTimeOffset Start => new(2025, 6, 1, 12, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + _shift;
    }
}

public sealed class PostgresEnqueueTests() : EnqueueContract(new PostgresHost());

public sealed class PostgresSettleTests() : SettleContract(new PostgresHost());

public sealed class PostgresUpkeepTests() : UpkeepContract(new PostgresHost());

public sealed class PostgresAcceptedEnqueueTests() : EnqueueContract(new PostgresHost(claims: true));

public sealed class PostgresAcceptedSettleTests() : SettleContract(new PostgresHost(claims: true));

public sealed class PostgresAcceptedUpkeepTests() : UpkeepContract(new PostgresHost(claims: true));
