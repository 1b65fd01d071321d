using System.Text;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Postgres;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Store.Postgres;

/// <summary>Servers that stop, start again, fill up and lose connections.</summary>
public sealed class FaultTests : IAsyncLifetime
{
    private static readonly DateTimeOffset T0 = new(2025, 6, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly IReadOnlySet<DeliveryId> None = new HashSet<DeliveryId>();

    private static readonly Subscription Orders = new()
    {
        Uid = "uid-orders",
        Name = new NamespacedName("shop", "orders"),
        Generation = 1,
        Filter = Filter.All,
        Delivery = new DeliveryPolicy(),
    };

    private readonly PostgresHost _host = new();
    private string _good = "";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _good = await _host.ConnectionStringAsync();

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task A_server_that_stops_makes_it_unavailable_and_one_that_starts_again_mends_it()
    {
        await using var server = await PostgresServer.StartAsync();
        await using var store = await PostgresHost.OpenAsync(server.ConnectionString("postgres"));
        await EnqueueAsync(store, "before");

        await server.StopAsync();
        var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(() => EnqueueAsync(store, "meanwhile"));
        Assert.Contains($"127.0.0.1:{server.Port}/postgres", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(refusal.Message, store.Fault);
        await Assert.ThrowsAsync<StoreUnavailableException>(() => ReadDueAsync(store));

        await server.StartAgainAsync();
        // Nobody calls, and yet it finds out.
        await UntilAsync(() => store.Fault is null);
        await EnqueueAsync(store, "after");
        Assert.Equal(["before", "after"], (await ReadDueAsync(store)).Select(d => d.Event.Event.Id));

        // And while nobody calls, it also finds out that the server has gone.
        await server.StopAsync("immediate");
        await UntilAsync(() => store.Fault is not null);
        await server.StartAgainAsync();
        await EnqueueAsync(store, "last");
        Assert.Equal(3, (await ReadDueAsync(store)).Length);
    }

    [Fact]
    public async Task Sessions_that_were_ended_while_idle_are_replaced_unnoticed()
    {
        await using var store = await PostgresHost.OpenAsync(_good);
        for (var round = 0; round < 3; round++)
        {
            await EnqueueAsync(store, $"{round}");
            Assert.Equal(round + 1, (await ReadDueAsync(store)).Length);
            await _host.Server.ExecuteAsync(_host.Database,
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
        }
    }

    [Fact]
    public async Task An_event_whose_commit_was_not_answered_is_found_and_answered_as_stored_once()
    {
        await using var proxy = new TcpProxy(_host.Server.Port);
        await using var store = await PostgresHost.OpenAsync(_host.Server.ConnectionString(_host.Database, port: proxy.Port));
        await EnqueueAsync(store, "first");

        proxy.CutBeforeAnswerTo(Holds("cut-1"));
        var stored = await EnqueueAsync(store, "cut-1");

        Assert.False(stored.Duplicate);
        Assert.Equal(stored.Pending[0].Id, (await ReadDueAsync(store))[^1].Id);
        Assert.Equal(2, (await ReadDueAsync(store)).Length);
        Assert.True((await EnqueueAsync(store, "cut-1")).Duplicate);
    }

    [Fact]
    public async Task An_event_whose_outcome_stays_unknown_is_refused_and_its_repetition_is_a_duplicate_that_is_pending()
    {
        await using var proxy = new TcpProxy(_host.Server.Port);
        await using var store = await PostgresHost.OpenAsync(_host.Server.ConnectionString(_host.Database, port: proxy.Port));
        await EnqueueAsync(store, "first");

        proxy.CutBeforeAnswerTo(request =>
        {
            if (!Holds("cut-2")(request))
                return false;
            proxy.Refusing = true;
            return true;
        });
        await Assert.ThrowsAsync<StoreUnavailableException>(() => EnqueueAsync(store, "cut-2"));
        proxy.Refusing = false;

        var repeated = await EnqueueAsync(store, "cut-2");
        Assert.True(repeated.Duplicate);
        Assert.Equal(1, repeated.Deliveries);
        Assert.Equal("cut-2", (await ReadDueAsync(store))[^1].Event.Event.Id);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public async Task A_settlement_whose_commit_was_not_answered_counts_once(bool ends, bool claimed)
    {
        var state = ends ? DeliveryState.Delivered : DeliveryState.Pending;
        await using var proxy = new TcpProxy(_host.Server.Port);
        await using var store = await PostgresHost.OpenAsync(_host.Server.ConnectionString(_host.Database, port: proxy.Port));
        await using var direct = await PostgresHost.OpenAsync(_good);
        await using var member = await PostgresHost.ClaimAsync(direct);
        if (claimed)
            store.ClaimOf = _ => member.Claim;
        foreach (var refuse in (bool[])[false, true])
        {
            var delivery = (await EnqueueAsync(store, $"{refuse}")).Pending[0];
            var mark = $"answer-{refuse}";
            var settlement = new Settlement
            {
                Delivery = delivery, State = state, Step = 1, Time = T0, DueTime = T0.AddHours(1),
                Attempt = new AttemptRecord
                {
                    Number = 1, Time = T0, Duration = TimeSpan.FromMilliseconds(1), StatusCode = 200, Response = Encoding.UTF8.GetBytes(mark),
                },
            };

            proxy.CutBeforeAnswerTo(request =>
            {
                if (!Holds(mark)(request))
                    return false;
                proxy.Refusing = refuse;
                return true;
            });
            if (refuse)
                await Assert.ThrowsAsync<StoreUnavailableException>(() => store.SettleAsync(settlement, Token));
            proxy.Refusing = false;
            Assert.True(await store.SettleAsync(settlement, Token));

            var detail = await store.GetDeliveryAsync("shop", delivery.Id, Token);
            Assert.Equal((state, 1), (detail!.Summary.State, Assert.Single(detail.Attempts).Number));
            Assert.False(await store.SettleAsync(settlement with { Step = 2 }, Token));
        }
    }

    [Fact]
    public async Task A_full_disk_refuses_whole_calls_and_mends_itself_once_there_is_space()
    {
        Assert.SkipUnless(Environment.UserName == "root", "Mounting a small file system takes root.");
        using var folder = new TempFolder();
        await RunAsync("mount", "-t", "tmpfs", "-o", "size=12m", "store-test", folder.Path);
        var space = $"space_{Guid.NewGuid():N}";
        try
        {
            await PostgresServer.GiveAwayAsync(folder.Path);
            await _host.Server.ExecuteAsync("postgres", $"CREATE TABLESPACE {space} LOCATION '{folder.Path}'");
            await _host.Server.ExecuteAsync("postgres", $"ALTER DATABASE {_host.Database} SET default_tablespace = {space}");
            await using (var store = await PostgresHost.OpenAsync(_good))
            {
                var stored = 0;
                var body = new byte[200_000];
                new Random(1).NextBytes(body);
                var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(async () =>
                {
                    for (; ; stored++)
                        await EnqueueAsync(store, $"before-{stored}", body);
                });
                Assert.Contains("no space left", refusal.Message, StringComparison.Ordinal);
                Assert.Equal(refusal.Message, store.Fault);
                Assert.Equal(stored, Assert.Single(await store.ReadBacklogsAsync(Token)).Pending);

                await RunAsync("mount", "-o", "remount,size=64m", folder.Path);
                await UntilAsync(() => store.Fault is null);
                await EnqueueAsync(store, "after", body);
                Assert.Equal(stored + 1, Assert.Single(await store.ReadBacklogsAsync(Token)).Pending);
            }
            await _host.Server.DropDatabaseAsync(_host.Database);
            await _host.Server.ExecuteAsync("postgres", $"DROP TABLESPACE {space}");
        }
        finally
        {
            await RunAsync("umount", "--lazy", folder.Path);
        }
    }

    [Fact]
    public async Task A_statement_that_waits_too_long_is_given_up_and_the_store_goes_on()
    {
        await using var store = await PostgresHost.OpenAsync(_good);
        await EnqueueAsync(store, "before");
        await using var other = await _host.Server.ConnectAsync(_host.Database);
        await using (var transaction = await other.BeginTransactionAsync(Token))
        {
            await using var command = new Npgsql.NpgsqlCommand($"LOCK TABLE {Schema.Name}.event_key", other);
            await command.ExecuteNonQueryAsync(Token);

            var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(() => EnqueueAsync(store, "late"));
            Assert.Contains("pg_stat_activity", refusal.Message, StringComparison.Ordinal);
        }
        Assert.False((await EnqueueAsync(store, "late")).Duplicate);
    }

    [Fact]
    public async Task A_server_that_hangs_refuses_all_that_wait_at_once_and_only_so_many_may_wait()
    {
        const int Megabytes = 80;
        await using var server = await PostgresServer.StartAsync();
        await using var store = await PostgresHost.OpenAsync(server.ConnectionString("postgres"));
        await EnqueueAsync(store, "before");
        await server.FreezeAsync();

        var waiting = Enumerable.Range(0, Megabytes).Select(i => EnqueueAsync(store, $"{i}", new byte[1 << 20])).ToArray();
        var excess = Array.FindAll(waiting, w => w.IsFaulted);
        Assert.InRange(excess.Length, 5, 20);
        var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(() => excess[0]);
        Assert.Contains("does not keep up", refusal.Message, StringComparison.Ordinal);

        await Assert.ThrowsAsync<StoreUnavailableException>(() => waiting[0]);
        // Some may be under way, each as long as the first; those that only waited are not made to wait so long once more.
        await UntilAsync(() => waiting.Count(w => w.IsFaulted) >= Megabytes - 4);
        await server.ThawAsync();
        await UntilAsync(() => store.Fault is null);
        // What was under way had reached the server, which may store it now.
        Assert.InRange((await ReadDueAsync(store)).Length, 1, 5);
        Assert.False((await EnqueueAsync(store, "after")).Duplicate);
    }

    [Fact]
    public async Task An_event_that_the_synchronous_standby_does_not_have_is_not_answered_as_stored()
    {
        await using var primary = await PostgresServer.StartAsync();
        await using var standby = await primary.StartStandbyAsync();
        await primary.WaitForStandbyAsync();
        await using var store = await PostgresHost.OpenAsync(primary.ConnectionString("postgres"));
        await EnqueueAsync(store, "before");
        await standby.StopAsync("immediate");

        await Assert.ThrowsAsync<StoreUnavailableException>(() => EnqueueAsync(store, "alone"));
        // Its publisher's next try finds it on the primary, which is no more than before.
        await Assert.ThrowsAsync<StoreUnavailableException>(() => EnqueueAsync(store, "alone"));

        await standby.StartAgainAsync();
        await UntilAsync(() => store.Fault is null);
        Assert.True((await EnqueueAsync(store, "alone")).Duplicate);
    }

    [Fact]
    public async Task Saving_states_uses_up_no_keys()
    {
        await using var store = await PostgresHost.OpenAsync(_good);
        await EnqueueAsync(store, "a");
        for (var i = 0; i < 20; i++)
            await store.SaveStateAsync(Orders.Uid, new SubscriptionState { FailingSince = T0.AddSeconds(i) }, 0, Token);
        await store.SaveStateAsync("another", new SubscriptionState { FailingSince = T0 }, 0, Token);

        Assert.Equal(2L, await _host.Server.ReadAsync(_host.Database, $"SELECT last_value FROM {Schema.Name}.subscription_key_seq"));
        Assert.Equal(T0.AddSeconds(19), (await store.ReadBacklogsAsync(Token)).Single(b => b.SubscriptionUid == Orders.Uid).State.FailingSince);
    }

    private static Func<ReadOnlyMemory<byte>, bool> Holds(string text) =>
        request => request.Span.IndexOf(Encoding.UTF8.GetBytes(text)) >= 0;

    private static async Task<EnqueueResult> EnqueueAsync(PostgresStore store, string id, byte[]? body = null)
    {
        body ??= "{}"u8.ToArray();
        var results = await store.EnqueueAsync([new NewEvent("shop", new Event
        {
            Id = id, Source = "/shop", Type = "created", Encoding = EventEncoding.Binary, Body = body, DataRange = 0..body.Length,
        }, [Orders], T0)], Token);
        return results[0];
    }

    private static async Task<PendingDelivery[]> ReadDueAsync(PostgresStore store) =>
        [.. (await store.ReadDueAsync(Orders.Uid, DateTimeOffset.MinValue, T0, 1000, long.MaxValue, None, Token)).Deliveries];

    private static async Task UntilAsync(Func<bool> condition) => await LocalOperator.UntilAsync(() => Task.FromResult(condition()));

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var error = await process.StandardError.ReadToEndAsync(CancellationToken.None);
        await process.WaitForExitAsync(CancellationToken.None);
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {error}");
    }
}
