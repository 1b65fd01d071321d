using Npgsql;
using WebhookOperator.Engine.Store.Postgres;

namespace WebhookOperator.Tests.Engine.Store.Postgres;

/// <summary>How PostgreSQL would run each statement, in a session as the store opens it.</summary>
public sealed class PlanTests : IAsyncLifetime
{
    private const string Settlements = "bigint[],int[],int[],smallint[],int[],int[],bigint[],bigint[],bigint[],smallint[],smallint[],text[],bytea[]";

    private const string Tables = "event, event_key, accepted, pending, delivery, attempt";

    /// <summary>As the server has it after it has looked at tables of which nothing was left but dead rows.</summary>
    private const string SeenEmpty =
        $"UPDATE pg_class SET reltuples = 0, relpages = 100 WHERE relnamespace = '{Schema.Name}'::regnamespace AND relkind IN ('r', 'i')";

    /// <summary>Of what an index is called, with the names that PostgreSQL gives those of partitions.</summary>
    private static readonly (string Index, string Column)[] FirstColumns =
    [
        ("pending_due", "subscription"), ("subscription_shard", "shard"), ("subscription_uid", "uid"), ("subscription_pkey", "key"),
        ("_subscription_", "subscription"), ("event_key", "dedupe"), ("attempt", "delivery"), ("pkey", "id"),
    ];

    private readonly PostgresHost _host = new();
    private NpgsqlConnection _connection = null!;

    public static TheoryData<string, string, string> Statements() => new()
    {
        { "enqueue", EnqueueStatements.EnqueueSql,
            "bigint[],bytea[],int[],text[],text[],text[],text[],smallint[],bytea[],int[],int[],boolean[],bytea[],bigint[],bigint[],int[],bigint[],int[],bigint[],int[]" },
        { "find keys", EnqueueStatements.FindKeysSql, "bytea[]" },
        { "end accepted", SettleStatements.EndAcceptedSql,
            "bigint[],bigint[],bigint[],bigint[],bigint[],int[],int[],bigint[],bigint[],int[],smallint[],bigint[],bigint[],smallint[],smallint[],text[],bytea[]" },
        { "end", SettleStatements.EndSql, Settlements },
        { "retry", SettleStatements.RetrySql, "bigint[],int[],int[],int[],int[],bigint[],bigint[],bigint[],smallint[],smallint[],text[],bytea[]" },
        { "save state", WriteGroup.SaveStateSql,
            "text[],smallint[],int[],bigint[],text[],text[],bigint[],bigint[],bigint[],bigint[],bigint[],int[],bigint[],bigint[],bigint[],bigint[]" },
        { "find settled", SettleStatements.FindSettledSql, "bigint[],int[],smallint[],int[],bigint[],bigint[]" },
        { "due", StoreReader.DueSql, "text,bigint,bigint[],bigint,bigint,bigint" },
        { "next due", StoreReader.NextDueSql, "text,bigint,bigint[]" },
        { "find due", StoreReader.FindDueSql, "smallint[],bigint" },
        { "count pending", StoreReader.CountPendingSql, "text[],bigint" },
        { "oldest", StoreReader.OldestPendingSql, "text" },
        { "log", LogReader.AllSql, "text,bigint,bigint,bigint" },
        { "log of pending", LogReader.PendingSql, "text,bigint,bigint,bigint" },
        { "log of delivered", LogReader.DeliveredSql, "text,bigint,bigint,bigint,bigint" },
        { "log of failed", LogReader.FailedSql, "text,bigint,bigint,bigint,smallint" },
        { "detail", LogReader.DetailSql, "bigint,text" },
        { "attempts", LogReader.AttemptsSql, "bigint" },
        { "find for replay", StoreUpkeep.FindFinishedSql, "text,bigint,bigint,bigint,smallint[],text[]" },
        { "find dead", StoreUpkeep.FindDeadSql, "text,bigint,bigint,bigint,smallint[],text[]" },
        { "reopen", StoreUpkeep.ReopenSql, "bigint[],bigint" },
        { "find for redelivery", StoreUpkeep.FindForRedeliverySql, "bigint,text" },
        { "make due", StoreUpkeep.MakeDueSql, "bigint,bigint" },
        { "find pending", StoreUpkeep.FindPendingSql, "text,bigint,bigint,bigint[],bigint" },
        { "end pending", StoreUpkeep.EndPendingSql, "bigint[],smallint,bigint,smallint,bigint" },
        { "sweep", Sweeper.FindSql, "bigint,bigint,bigint,bigint" },
        { "sweep deliveries", Sweeper.DeleteDeliveriesSql, "bigint[],bigint[],bigint" },
        { "sweep events", Sweeper.DeleteEventsSql, "bigint[],bigint[]" },
        { "sweep keys", Sweeper.DeleteKeysSql, "bigint,bigint,bigint" },
        { "find idle", Sweeper.FindIdleSql, "" },
        { "backlogs", StoreReader.BacklogsSql, "smallint[]" },
        { "spread all", Accepted.AllSql, "" },
        { "spread before", Accepted.BeforeSql, "bigint" },
        { "spread a member's", Accepted.OfMemberSql, "bigint" },
        { "spread a subscription's", Accepted.OfSubscriptionSql, "text,bigint" },
        { "spread due", Accepted.DueSql, "text,bigint,bigint[]" },
        { "spread deliveries", Accepted.DeliveriesSql, "bigint[]" },
    };

    public async ValueTask InitializeAsync()
    {
        await using (await _host.OpenAsync()) { }
        _connection = await _host.Server.ConnectAsync(_host.Database);
        // Two days of 30,000 events, one delivery each; every tenth waits, and every twentieth has an attempt of its own.
        await ExecuteAsync($"""
            SET search_path = {Schema.Name};
            INSERT INTO subscription (uid, shard, namespace, name) SELECT 'uid-' || i, i % 256, 'ns', 'name-' || i FROM generate_series(1, 2000) i;
            """);
        foreach (var day in (Day[])[Day.Of(new DateTimeOffset(2025, 6, 1, 0, 0, 0, TimeSpan.Zero)), Day.Of(new DateTimeOffset(2025, 6, 2, 0, 0, 0, TimeSpan.Zero))])
        {
            await ExecuteAsync($"""
                CREATE TEMP TABLE filled AS SELECT {day.FirstId} + i * 4096::bigint AS id, i FROM generate_series(1, 30000) i;
                INSERT INTO event SELECT id, convert_to(id::text, 'UTF8'), 1, 0, 2, 0, false, 'ns', '/s', id::text, 'type', NULL, 'body' FROM filled;
                INSERT INTO event_key SELECT convert_to(id::text, 'UTF8'), id, 1 FROM filled;
                INSERT INTO pending SELECT id + 1024, id, 0, i, 1 + i % 2000, 1, 0, 0, 4, NULL, 0 FROM filled WHERE i % 10 = 0;
                INSERT INTO delivery SELECT id + 1024, id, 0, i, 1, 1, 1 + i % 2000, 1, 1, 1, 4, 1 + (i % 30 = 1)::int, 200, 0, NULL, NULL FROM filled WHERE i % 10 <> 0;
                INSERT INTO attempt SELECT id + 1024, 0, 1, 1, 500, 1, 'no', NULL FROM filled WHERE i % 20 = 0;
                DROP TABLE filled;
                """);
        }
        await ExecuteAsync("ANALYZE");
    }

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await _host.DisposeAsync();
    }

    /// <summary>Plans are kept: a table that was all but empty when its statement was planned may soon hold millions of rows.</summary>
    [Theory]
    [InlineData("SELECT")]
    [InlineData($"TRUNCATE {Tables}")]
    [InlineData($"TRUNCATE {Tables}; ANALYZE")]
    [InlineData(SeenEmpty)]
    [InlineData($"{SeenEmpty}; DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace = '{Schema.Name}'::regnamespace)")]
    public async Task No_statement_reads_a_table_or_an_index_from_end_to_end_whatever_there_was_when_it_was_planned(string before)
    {
        await ExecuteAsync(before);
        await ExecuteAsync(ServerAddress.SessionSettings);
        var bad = from explained in await ExplainAsync()
            where explained.Plan.Zip(explained.Plan.Skip(1).Append("")).Any(lines => ReadsAll(explained.Name, lines.First, lines.Second))
            select $"{explained.Name}:\n{string.Join('\n', explained.Plan)}\n";
        Assert.Empty(bad);
    }

    /// <summary>
    /// Of an index, where nothing is said of its first column. But for members, who are a handful, and for subscriptions, where
    /// those are looked for that have nothing, once an hour.
    /// </summary>
    private static bool ReadsAll(string name, string line, string next)
    {
        if (line.Contains("Seq Scan on", StringComparison.Ordinal))
            return !line.Contains("Seq Scan on member", StringComparison.Ordinal) && !(name == "find idle" && line.Contains("Seq Scan on subscription", StringComparison.Ordinal));
        if (!line.Contains("Index Scan", StringComparison.Ordinal) && !line.Contains("Index Only Scan", StringComparison.Ordinal))
            return false;
        var index = line.Split(" using ")[1].Split(' ')[0];
        var first = FirstColumns.First(pair => index.Contains(pair.Index, StringComparison.Ordinal)).Column;
        return !next.Contains("Index Cond:", StringComparison.Ordinal) || !next.Contains($"({first} ", StringComparison.Ordinal);
    }

    private async Task<List<(string Name, List<string> Plan)>> ExplainAsync()
    {
        var plans = new List<(string, List<string>)>();
        foreach (var (name, sql, types) in Statements().Select(row => row.Data))
        {
            await ExecuteAsync($"PREPARE planned{InParentheses(types)} AS {sql}");
            var arguments = string.Join(", ", types.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(t => t.EndsWith("[]", StringComparison.Ordinal) ? $"'{"{}"}'::{t}" : $"'1'::{t}"));
            var plan = new List<string>();
            await using (var command = new NpgsqlCommand($"EXPLAIN (COSTS off) EXECUTE planned{InParentheses(arguments)}", _connection))
            {
                await using var rows = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
                while (await rows.ReadAsync(TestContext.Current.CancellationToken))
                    plan.Add(rows.GetString(0));
            }
            await ExecuteAsync("DEALLOCATE planned");
            plans.Add((name, plan));
        }
        return plans;

        static string InParentheses(string list) => list.Length == 0 ? "" : $" ({list})";
    }

    private async Task ExecuteAsync(string sql)
    {
        await using var command = new NpgsqlCommand(sql, _connection);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }
}
