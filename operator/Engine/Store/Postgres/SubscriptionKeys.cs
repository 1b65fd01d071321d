using System.Collections.Concurrent;
using Npgsql;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// The short numbers that rows name subscriptions by. Remembered; should another replica have deleted one meanwhile, since
/// nothing was left of it, the insert that names it fails as a whole, and is repeated after <see cref="Forget"/>.
/// </summary>
internal sealed class SubscriptionKeys
{
    private readonly ConcurrentDictionary<string, int> _keys = new();

    public int this[string uid] => _keys[uid];

    public bool TryGet(string uid, out int key) => _keys.TryGetValue(uid, out key);

    public void Forget() => _keys.Clear();

    /// <summary>Sees that every subscription that one of these matches has a key, and its name in the store.</summary>
    public async Task EnsureAsync(NpgsqlConnection connection, List<PreparedEvent> events, CancellationToken cancellation)
    {
        Dictionary<string, Subscription>? missing = null;
        foreach (var @event in events)
        {
            var matches = @event.Source.Matches;
            for (var i = 0; i < matches.Count; i++)
                if (!_keys.ContainsKey(matches[i].Uid))
                    (missing ??= new(StringComparer.Ordinal))[matches[i].Uid] = matches[i];
        }
        if (missing is null)
            return;
        // In one order, so that two replicas that do this at once wait for each other only one way.
        var found = missing.Values.OrderBy(s => s.Uid, StringComparer.Ordinal).ToArray();
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand("""
                    INSERT INTO subscription (uid, shard, namespace, name) SELECT * FROM unnest($1, $2, $3, $4)
                    ON CONFLICT (uid) DO UPDATE SET namespace = excluded.namespace, name = excluded.name
                      WHERE (subscription.namespace, subscription.name) IS DISTINCT FROM (excluded.namespace, excluded.name)
                    """)
                {
                    Parameters =
                    {
                        Column.Of(found, s => s.Uid), Column.Of(found, s => (short)Shard.Of(s.Uid)),
                        Column.Of(found, s => s.Name.Namespace), Column.Of(found, s => s.Name.Name),
                    },
                },
                new NpgsqlBatchCommand("SELECT uid, key FROM subscription WHERE uid = ANY ($1)") { Parameters = { Column.Of(found, s => s.Uid) } },
            },
        };
        await using var rows = await batch.ExecuteReaderAsync(cancellation);
        while (await rows.ReadAsync(cancellation))
            _keys[rows.GetString(0)] = rows.GetInt32(1);
    }
}
