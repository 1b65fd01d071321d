using System.Collections.Concurrent;
using System.Globalization;
using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>The days that have partitions. Each of the partitioned tables has one for each.</summary>
internal sealed class Partitions
{
    public static readonly string[] Tables = ["event", "delivery", "attempt"];

    /// <summary>Rows of a day are written once and never changed: nothing to vacuum but what a redelivery takes out.</summary>
    private const string Storage = "autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_insert_scale_factor = 0.3, autovacuum_vacuum_cost_delay = 1";

    private readonly ConcurrentDictionary<Day, bool> _known = new();

    public bool Has(Day day) => _known.ContainsKey(day);

    /// <summary>What was known of partitions no longer holds.</summary>
    public void Forget() => _known.Clear();

    /// <summary>The days that the database has, earliest first.</summary>
    public static async Task<List<Day>> ReadAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand($"""
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = '{Schema.Name}.attempt'::regclass ORDER BY c.relname
            """, connection);
        await using var rows = await command.ExecuteReaderAsync(cancellation);
        var days = new List<Day>();
        while (await rows.ReadAsync(cancellation))
            if (Day.Parse(rows.GetString(0).AsSpan()["attempt_".Length..]) is { } day)
                days.Add(day);
        return days;
    }

    /// <summary>Makes the partitions of a day if they are not there yet. Not within a transaction.</summary>
    public async Task EnsureAsync(NpgsqlConnection connection, Day day, CancellationToken cancellation)
    {
        if (Has(day))
            return;
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({AdvisoryLocks.Store}, {AdvisoryLocks.Partitions})", cancellation);
        if (!(await ReadAsync(connection, cancellation)).Contains(day))
        {
            foreach (var table in Tables)
            {
                // Attaching hinders nobody; CREATE TABLE … PARTITION OF would lock readers and writers out.
                await ExecuteAsync(connection, string.Create(CultureInfo.InvariantCulture, $"""
                    CREATE TABLE {Schema.Name}.{table}_{day.Suffix} (LIKE {Schema.Name}.{table} INCLUDING ALL) WITH ({Storage});
                    ALTER TABLE {Schema.Name}.{table} ATTACH PARTITION {Schema.Name}.{table}_{day.Suffix}
                      FOR VALUES FROM ({day.FirstId}) TO ({day.Next.FirstId});
                    """), cancellation);
            }
        }
        await transaction.CommitAsync(cancellation);
        _known[day] = true;
    }

    /// <summary>
    /// Drops a day with everything in it, unless something of it is pending, or someone holds it locked for longer than
    /// others should wait. Not within a transaction.
    /// </summary>
    /// <returns>False if it was left as it is.</returns>
    public async Task<bool> TryDropAsync(NpgsqlConnection connection, Day day, CancellationToken cancellation)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await ExecuteAsync(connection, "SET LOCAL lock_timeout = '1s'", cancellation);
        try
        {
            await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({AdvisoryLocks.Store}, {AdvisoryLocks.Partitions})", cancellation);
            // Tables before their partitions, as every query does. A redelivery takes the row out of here; with the lock, it has
            // either done so or will find nothing.
            await ExecuteAsync(connection, $"LOCK TABLE {string.Join(", ",
                Tables.Select(t => $"ONLY {Schema.Name}.{t}").Concat(Tables.Select(t => $"{Schema.Name}.{t}_{day.Suffix}")))}", cancellation);
            await Accepted.SpreadAsync(connection, Accepted.BeforeSql, cancellation, StoreReader.Number(day.Next.FirstId));
            if (await AnyPendingAsync(connection, day, cancellation))
            {
                await transaction.RollbackAsync(cancellation);
                return false;
            }
            foreach (var table in Tables)
                await ExecuteAsync(connection, $"DROP TABLE {Schema.Name}.{table}_{day.Suffix}", cancellation);
            await transaction.CommitAsync(cancellation);
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.DeadlockDetected)
        {
            await transaction.RollbackAsync(CancellationToken.None);
            return false;
        }
        _known.TryRemove(day, out _);
        return true;
    }

    public static async Task<bool> AnyPendingAsync(NpgsqlConnection connection, Day day, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("SELECT EXISTS (SELECT FROM pending WHERE id >= $1 AND id < $2)", connection)
        {
            Parameters = { new() { Value = day.FirstId }, new() { Value = day.Next.FirstId } },
        };
        return (bool)(await command.ExecuteScalarAsync(cancellation))!;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellation);
    }
}
