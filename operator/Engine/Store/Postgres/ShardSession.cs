using System.Collections.Immutable;
using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// A membership as advisory locks of one session. The locks go with the session at once when the process dies, and within
/// seconds when its machine does, by the keepalives that every session of the store asks for.
/// </summary>
internal sealed class ShardSession : IShardSession
{
    /// <summary>Shorter than the time in which the server finds out that this process is gone, so that it knows first.</summary>
    private const int BeatTimeoutSeconds = 3;

    /// <summary>For several statements, some of which wait for others' commits.</summary>
    private const int ChangeTimeoutSeconds = 15;

    private static readonly TimeSpan OldMember = TimeSpan.FromMinutes(10);

    private readonly ServerAddress _server;
    private readonly NpgsqlConnection _session;
    private readonly IReadOnlySet<long> _earlier;
    private readonly int _member;
    private long _pending;

    /// <summary>What did not end in time, and still uses the session.</summary>
    private Task? _asked;

    private ShardSession(ServerAddress server, NpgsqlConnection session, IReadOnlySet<long> earlier, int member)
    {
        _server = server;
        _session = session;
        _earlier = earlier;
        _member = member;
    }

    public long Claim => _member;

    public static async Task<ShardSession> JoinAsync(ServerAddress server, IReadOnlySet<long> earlier, CancellationToken cancellation)
    {
        try
        {
            var session = await server.OpenAsync(cancellation);
            try
            {
                await using var insert = Command(session, "INSERT INTO member DEFAULT VALUES RETURNING id");
                var member = (int)(await insert.ExecuteScalarAsync(cancellation))!;
                await using var join = Command(session, $"""
                    SELECT pg_advisory_lock({AdvisoryLocks.Member}, {member});
                    DELETE FROM member m WHERE m.joined < now() - '{OldMember.TotalSeconds} s'::interval
                      AND NOT EXISTS (SELECT FROM shard s WHERE s.owner = m.id) AND m.id NOT IN ({LiveMembers});
                    """);
                await join.ExecuteNonQueryAsync(cancellation);
                return new ShardSession(server, session, earlier, member);
            }
            catch
            {
                await session.DisposeAsync();
                throw;
            }
        }
        catch (Exception e) when (IsServers(e))
        {
            throw ServerFault.Unavailable(server, e);
        }
    }

    public Task<Membership> BeatAsync(long pending) => AskAsync(BeatTimeoutSeconds, async () =>
    {
        if (pending != _pending)
        {
            await using var update = Command(_session, "UPDATE member SET pending = $2 WHERE id = $1");
            update.Parameters.Add(StoreReader.Number(_member));
            update.Parameters.Add(StoreReader.Number(pending));
            await update.ExecuteNonQueryAsync();
            _pending = pending;
        }
        await using var count = Command(_session, $"""
            SELECT count(*)::int, coalesce(sum(m.pending), 0)::bigint, coalesce(bool_or(m.id = {_member}), false)
            FROM ({LiveMembers}) l JOIN member m ON m.id = l.id
            """);
        await using var row = await count.ExecuteReaderAsync();
        await row.ReadAsync();
        if (!row.GetBoolean(2))
            throw new StoreUnavailableException($"The membership at {_server.Name} was ended by another replica.");
        return new Membership(row.GetInt32(0), row.GetInt64(1));
    });

    public Task RetireAsync() => AskAsync(BeatTimeoutSeconds, async () =>
    {
        await using var retire = Command(_session, $"SELECT pg_advisory_unlock({AdvisoryLocks.Member}, {_member})");
        return await retire.ExecuteNonQueryAsync();
    });

    public Task<ImmutableArray<int>> TakeAsync(IReadOnlyCollection<int> candidates, int atMost) => AskAsync<ImmutableArray<int>>(ChangeTimeoutSeconds, async () =>
    {
        // 1. The locks.
        var taken = new List<int>();
        await using (var take = Command(_session, $"SELECT c.id FROM unnest($1) AS c (id) WHERE pg_try_advisory_lock({AdvisoryLocks.Shard}, c.id) LIMIT $2"))
        {
            take.Parameters.Add(Column.Of([.. candidates], c => c));
            take.Parameters.Add(StoreReader.Number(atMost));
            await using var rows = await take.ExecuteReaderAsync();
            while (await rows.ReadAsync())
                taken.Add(rows.GetInt32(0));
        }
        if (taken.Count == 0)
            return [];

        // 2. Who held one before and has not released it is dead: nothing that it sent may count from here on.
        foreach (var owner in await FindOwnersAsync(taken))
            if (owner != _member && !_earlier.Contains(owner))
                await EndClaimAsync(owner);

        // 3. From here on it is this member that others would find.
        await using var own = Command(_session, $"UPDATE shard SET owner = {_member} WHERE id = ANY ($1)");
        own.Parameters.Add(Column.Of(taken, s => s));
        await own.ExecuteNonQueryAsync();
        return [.. taken];
    });

    public Task ReleaseAsync(IReadOnlyCollection<int> shards) => AskAsync(ChangeTimeoutSeconds, async () =>
    {
        // Also for a replica of an earlier version, which would not look there.
        await using var spread = Command(_session, Accepted.OfMemberSql);
        spread.Parameters.Add(StoreReader.Number(_member));
        await spread.ExecuteNonQueryAsync();
        // One after the other: the lock is free at once, but what else its transaction does is seen by others only after the
        // commit. Who took it in between would find an owner without a lock, and take this member for dead.
        await using var disown = Command(_session, $"UPDATE shard SET owner = NULL WHERE id = ANY ($1) AND owner = {_member}");
        disown.Parameters.Add(Column.Of([.. shards], s => s));
        await disown.ExecuteNonQueryAsync();
        await using var unlock = Command(_session, $"SELECT count(pg_advisory_unlock({AdvisoryLocks.Shard}, s.id)) FROM unnest($1) AS s (id)");
        unlock.Parameters.Add(Column.Of([.. shards], s => s));
        await unlock.ExecuteNonQueryAsync();
        return true;
    });

    /// <summary>Leaves. Shards that were not released are as those of a process that died.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_asked is { } asked)
        {
            _ = asked.ContinueWith(_ => _session.Dispose(), TaskScheduler.Default);
            return;
        }
        try
        {
            if (!ServerFault.IsBroken(_session))
                await EndClaimAsync(_member, "NOT EXISTS (SELECT FROM shard s WHERE s.owner = m.id)");
        }
        catch (Exception e) when (IsServers(e))
        {
            // Then the next member to join deletes it.
        }
        finally
        {
            await _session.DisposeAsync();
        }
    }

    private static string LiveMembers => $"""
        SELECT l.objid::int AS id FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = {AdvisoryLocks.Member} AND l.objsubid = 2 AND l.granted
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
        """;

    private async Task<List<int>> FindOwnersAsync(List<int> shards)
    {
        await using var find = Command(_session, "SELECT DISTINCT owner FROM shard WHERE id = ANY ($1) AND owner IS NOT NULL");
        find.Parameters.Add(Column.Of(shards, s => s));
        await using var rows = await find.ExecuteReaderAsync();
        var owners = new List<int>();
        while (await rows.ReadAsync())
            owners.Add(rows.GetInt32(0));
        return owners;
    }

    /// <summary>Waits for what is being committed under it; what comes later finds no member.</summary>
    private async Task EndClaimAsync(int member, string where = "true")
    {
        await using var transaction = await _session.BeginTransactionAsync();
        await using var end = Command(_session,
            $"SELECT pg_advisory_xact_lock({AdvisoryLocks.Claim}, {member}); DELETE FROM member m WHERE m.id = {member} AND {where}");
        await end.ExecuteNonQueryAsync();
        await transaction.CommitAsync();
    }

    private async Task<T> AskAsync<T>(int seconds, Func<Task<T>> work)
    {
        var asked = work();
        try
        {
            // The driver gives up after the same time, but then it tries to cancel at a server that may not answer that either.
            return await asked.WaitAsync(TimeSpan.FromSeconds(seconds + 0.1));
        }
        catch (TimeoutException e)
        {
            _asked = asked;
            throw ServerFault.Unavailable(_server, e);
        }
        catch (Exception e) when (IsServers(e))
        {
            throw ServerFault.Unavailable(_server, e);
        }
    }

    private static NpgsqlCommand Command(NpgsqlConnection session, string sql) => new(sql, session) { CommandTimeout = BeatTimeoutSeconds };

    private static bool IsServers(Exception e) => e is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException or InvalidOperationException;
}
