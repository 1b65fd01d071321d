using System.Globalization;
using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>Finds out before anything starts whether the database can hold the store, and brings its schema up to date.</summary>
internal static class StartupChecks
{
    /// <summary>13: what waits is found by incremental sorts, and days are dropped from partitioned tables without a scan.</summary>
    private const int LeastVersion = 130000;

    private const int PoolerRounds = 3;

    /// <exception cref="StoreOpenException">The message says what would mend it.</exception>
    public static async Task RunAsync(ServerAddress server, ILogger logger, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await server.ConnectAsync(cancellation);
            await CheckServerAsync(server, connection, logger, cancellation);
            if (connection.ProcessID != await BackendAsync(connection, cancellation))
                await CheckPoolerAsync(server, connection, cancellation);
            // Looking first: a user who may not create schemas can use one that is there.
            if (await Schema.FindVersionAsync(connection, cancellation) != Schema.Version)
                await Schema.MigrateAsync(connection, server.Name, cancellation);
            await CheckRightsAsync(connection, cancellation);
        }
        catch (Exception e) when (e is NpgsqlException or System.Net.Sockets.SocketException or TimeoutException)
        {
            throw new StoreOpenException($"The store can't be opened. {ServerFault.Describe(server, e)}", e);
        }
    }

    private static async Task CheckServerAsync(
        ServerAddress server, NpgsqlConnection connection, ILogger logger, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("""
            SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
              current_setting('fsync'), current_setting('full_page_writes'), current_setting('default_transaction_read_only')
            """, connection);
        await using var row = await command.ExecuteReaderAsync(cancellation);
        await row.ReadAsync(cancellation);
        if (row.GetInt32(0) < LeastVersion)
        {
            throw new StoreOpenException(
                $"PostgreSQL at {server.Name} is version {row.GetString(1)}; the store needs {LeastVersion / 10000} or later.");
        }
        if (row.GetBoolean(2))
        {
            throw new StoreOpenException(
                $"PostgreSQL at {server.Name} is a standby, which can only be read; name the primary in Host, or all servers "
                + "(Host=a,b) with Target Session Attributes=primary.");
        }
        if (row.GetString(5) == "on")
        {
            throw new StoreOpenException(
                $"PostgreSQL at {server.Name} has default_transaction_read_only = on for this user or database; turn it off: "
                + $"ALTER ROLE {server.User} SET default_transaction_read_only = off.");
        }
        if (row.GetString(3) != "on" || row.GetString(4) != "on")
            PostgresLog.Unsafe(logger, server.Name);
    }

    /// <summary>
    /// A pooler is between. Where it lends its sessions for one transaction only, the locks that say who owns which
    /// subscriptions would stay behind in sessions of others. That shows where two connections turn out to be one session.
    /// </summary>
    private static async Task CheckPoolerAsync(ServerAddress server, NpgsqlConnection first, CancellationToken cancellation)
    {
        try
        {
            await using var second = await server.ConnectAsync(cancellation);
            for (var round = 0; round < PoolerRounds; round++)
            {
                var mine = await BackendAsync(first, cancellation);
                await using var transaction = await second.BeginTransactionAsync(cancellation);
                var other = await BackendAsync(second, cancellation);
                if (mine == other || mine != await BackendAsync(first, cancellation))
                    throw Refuse(null);
                await transaction.RollbackAsync(cancellation);
            }
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.ProtocolViolation)
        {
            throw Refuse(e);
        }

        StoreOpenException Refuse(Exception? e) => new(
            $"Between this program and PostgreSQL there is a pooler at {server.Name}, PgBouncer perhaps, that gives out a session for "
            + "one transaction or statement. The store needs sessions of its own: their advisory locks say which replica delivers for "
            + "which subscription. Name the server itself in Host and Port, or a pool with pool_mode = session.", e);
    }

    /// <summary>What every table of the store will be asked for, without touching a row.</summary>
    private static async Task CheckRightsAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(string.Create(CultureInfo.InvariantCulture, $"""
            CREATE TABLE {Schema.Name}.rights_check ();
            DROP TABLE {Schema.Name}.rights_check;
            SELECT FROM {Schema.Name}.event LIMIT 0;
            DELETE FROM {Schema.Name}.pending WHERE false;
            INSERT INTO {Schema.Name}.delivery SELECT * FROM {Schema.Name}.delivery WHERE false;
            UPDATE {Schema.Name}.subscription SET name = name WHERE false;
            """), connection);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await command.ExecuteNonQueryAsync(cancellation);
        await transaction.RollbackAsync(cancellation);
    }

    private static async Task<int> BackendAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("SELECT pg_backend_pid()", connection);
        return (int)(await command.ExecuteScalarAsync(cancellation))!;
    }
}
