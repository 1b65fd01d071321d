using System.Globalization;
using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>The tables, and how a database of an earlier version comes to have them.</summary>
internal static class Schema
{
    /// <summary>Everything is in a schema of this name, so a database holds one operator's store.</summary>
    public const string Name = "webhook_operator";

    /// <summary>Entry i leads from version i to version i + 1. Never changed once released; only added to.</summary>
    private static readonly string[] Migrations =
    [
        """
        -- Times are unix milliseconds, those of attempts microseconds. Ids are TimeOrderedId: the time of acceptance is in
        -- them, and an event's deliveries are of the same day (UTC) as the event. Tables that are partitioned have a
        -- partition for each day, so that retention drops whole days.
        CREATE TABLE event (
          id bigint NOT NULL,
          hash uuid NOT NULL,
          deliveries int NOT NULL,
          data_start int NOT NULL,
          data_length int NOT NULL,
          encoding smallint NOT NULL,
          data_base64 boolean NOT NULL,
          namespace text NOT NULL,
          source text NOT NULL,
          ce_id text NOT NULL,
          type text NOT NULL,
          attributes bytea,             -- a JSON object of all others, in their order
          body bytea NOT NULL,
          PRIMARY KEY (id)
        ) PARTITION BY RANGE (id);
        DO $$ BEGIN
          IF (SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression') THEN
            ALTER TABLE event ALTER body SET COMPRESSION lz4;
          ELSE
            ALTER TABLE event ALTER body SET STORAGE EXTERNAL;
          END IF;
        END $$;

        -- What makes an event a duplicate: 16 bytes of SHA-256 over (namespace, source, ce_id). One index over all days,
        -- since a unique index can't span partitions.
        CREATE TABLE event_key (
          hash uuid PRIMARY KEY,
          id bigint NOT NULL,
          deliveries int NOT NULL
        ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);

        CREATE TABLE subscription (
          key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          uid text NOT NULL UNIQUE,
          shard smallint NOT NULL,
          namespace text,               -- null, as name, until there is a delivery
          name text,
          failing_since bigint,
          disabled_reason text,
          disabled_message text,
          disabled_generation bigint,
          disabled_time bigint,
          held_until bigint,
          circuit_since bigint,
          circuit_probe bigint,
          circuit_failures int,
          counted_since bigint,
          delivered bigint,
          failed_attempts bigint,
          dead_lettered bigint
        ) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.1);
        CREATE INDEX subscription_shard ON subscription (shard);

        CREATE DOMAIN next_attempt AS int CHECK (VALUE > 0);

        -- What has not reached its end: small, always changing, and so apart from the log of what has.
        CREATE TABLE pending (
          id bigint NOT NULL,
          event bigint NOT NULL,
          started bigint NOT NULL,
          due bigint NOT NULL,
          subscription int NOT NULL,
          version int NOT NULL,
          attempts int NOT NULL,
          step int NOT NULL,
          size int NOT NULL,            -- of the event's body
          last_status smallint,
          last_error smallint NOT NULL,
          PRIMARY KEY (id)
        ) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
          autovacuum_analyze_scale_factor = 0.2, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
        CREATE INDEX pending_due ON pending (subscription, due, id);

        -- The log: deliveries that have ended, each with its last attempt.
        CREATE TABLE delivery (
          id bigint NOT NULL,
          event bigint NOT NULL,
          started bigint NOT NULL,
          ended bigint NOT NULL,
          time bigint,                  -- null, as duration, where it ended without an attempt
          duration bigint,
          subscription int NOT NULL,
          version int NOT NULL,
          attempts int NOT NULL,
          step int NOT NULL,
          size int NOT NULL,
          state smallint NOT NULL,
          last_status smallint,
          last_error smallint NOT NULL,
          message text,
          response bytea,
          PRIMARY KEY (id)
        ) PARTITION BY RANGE (id);
        CREATE INDEX delivery_log ON delivery (subscription, id);
        CREATE INDEX delivery_failed ON delivery (subscription, state, id) WHERE state >= 2;

        -- Attempts but the one that ended the delivery.
        CREATE TABLE attempt (
          delivery bigint NOT NULL,
          time bigint NOT NULL,
          duration bigint NOT NULL,
          number int NOT NULL,
          status smallint,
          error smallint NOT NULL,
          message text,
          response bytea,
          PRIMARY KEY (delivery, number)
        ) PARTITION BY RANGE (delivery);

        -- Replicas that are alive hold an advisory lock on their id, and one on each shard that they deliver for. A settlement
        -- counts only while its member has a row here: who takes over from a dead member deletes that.
        CREATE TABLE member (
          id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          joined timestamptz NOT NULL DEFAULT now(),
          pending bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 100);
        CREATE TABLE shard (
          id int PRIMARY KEY,
          owner int                     -- the last member that took it, unless it has released it
        ) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500);
        INSERT INTO shard SELECT generate_series(0, 255);

        -- In the ids of what a process writes, so that no two processes draw the same.
        CREATE SEQUENCE writer MINVALUE 0 MAXVALUE 1023 CYCLE;
        """,
        """
        -- DedupeKey over (namespace, source, ce_id) instead of a hash: the index grows at its ends, and not all over. What is
        -- stored already gets the same.
        ALTER TABLE event RENAME hash TO dedupe;
        ALTER TABLE event ALTER dedupe TYPE bytea USING
          substring(sha256(set_byte('\x00000000', 0, octet_length(namespace)) || convert_to(namespace || source, 'UTF8')) FOR 12)
          || CASE WHEN octet_length(ce_id) <= 40 THEN convert_to(ce_id, 'UTF8')
            ELSE substring(convert_to(ce_id, 'UTF8') FOR 25) || substring(sha256(convert_to(ce_id, 'UTF8')) FOR 16) END;
        DROP TABLE event_key;
        CREATE TABLE event_key (
          dedupe bytea PRIMARY KEY,
          id bigint NOT NULL,
          deliveries int NOT NULL
        ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
        INSERT INTO event_key SELECT dedupe, id, deliveries FROM event;

        -- All rows, but only for who asks for "subscription > 0" as well: of a table that is thought to be empty, the planner would
        -- look up an id in these, too, and walk through all of them, since the id is not their first column.
        DROP INDEX pending_due, delivery_log;
        CREATE INDEX pending_due ON pending (subscription, due, id) WHERE subscription > 0;
        CREATE INDEX delivery_log ON delivery (subscription, id) WHERE subscription > 0;
        """,
        """
        -- Deliveries that the replica which stored them set out to send at once, one row for many of a commit. Each is pending
        -- until it is in "delivery". Whoever wants to see them in "pending", or to change them there, spreads the row first.
        CREATE TABLE accepted (
          id bigint NOT NULL,           -- of its first delivery
          member int NOT NULL,
          ids bigint[] NOT NULL,
          events bigint[] NOT NULL,
          subscriptions int[] NOT NULL,
          times bigint[] NOT NULL,
          sizes int[] NOT NULL,
          PRIMARY KEY (id)
        ) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
          autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0);

        -- Who ends one of them holds its row FOR KEY SHARE until that is committed. A conflict is a redelivery by a replica of
        -- the version before, which knows nothing of the row.
        CREATE FUNCTION spread_accepted(spread bigint[]) RETURNS bigint LANGUAGE plpgsql STRICT AS $$
        DECLARE
          count bigint;
        BEGIN
          -- What others have ended must be seen once their locks are gone.
          IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'spread_accepted must run in a transaction that is READ COMMITTED';
          END IF;
          PERFORM FROM webhook_operator.accepted a WHERE a.id = ANY (spread) ORDER BY a.id FOR UPDATE;
          WITH gone AS (
            DELETE FROM webhook_operator.accepted a WHERE a.id = ANY (spread) RETURNING a.*
          )
          INSERT INTO webhook_operator.pending (id, event, subscription, due, started, size, version, attempts, step, last_error)
          SELECT d.id, d.event, d.subscription, d.time, d.time, d.size, 1, 0, 0, 0
          FROM gone, LATERAL (SELECT unnest(gone.ids) AS id, unnest(gone.events) AS event, unnest(gone.subscriptions) AS subscription,
            unnest(gone.times) AS time, unnest(gone.sizes) AS size) AS d
          WHERE (SELECT e.id FROM webhook_operator.delivery e WHERE e.id = d.id) IS NULL
          ON CONFLICT DO NOTHING;
          GET DIAGNOSTICS count = ROW_COUNT;
          RETURN count;
        END $$;

        -- However a member's claim ends: what it had taken on is pending for everybody else from then on.
        CREATE FUNCTION spread_of_member() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM webhook_operator.spread_accepted(array_agg(a.id)) FROM webhook_operator.accepted a WHERE a.id > 0 AND a.member = OLD.id;
          RETURN OLD;
        END $$;
        CREATE TRIGGER spread BEFORE DELETE ON member FOR EACH ROW EXECUTE FUNCTION spread_of_member();

        -- Also where a replica of the version before finds that nothing of a subscription is left.
        CREATE FUNCTION keep_accepted() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF EXISTS (SELECT FROM webhook_operator.accepted a WHERE a.id > 0 AND OLD.key = ANY (a.subscriptions)) THEN
            RETURN NULL;
          END IF;
          RETURN OLD;
        END $$;
        CREATE TRIGGER keep BEFORE DELETE ON subscription FOR EACH ROW EXECUTE FUNCTION keep_accepted();
        """,
    ];

    public static int Version => Migrations.Length;

    /// <summary>Brings the schema to <see cref="Version"/>, one process at a time.</summary>
    /// <exception cref="StoreOpenException">It is of a newer program, or of another one.</exception>
    public static async Task MigrateAsync(NpgsqlConnection connection, string server, CancellationToken cancellation)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({AdvisoryLocks.Store}, {AdvisoryLocks.Migration})", cancellation);
        // IF NOT EXISTS would take the right to create schemas even where it is there.
        await ExecuteAsync(connection, $"""
            DO $$ BEGIN
              IF to_regnamespace('{Name}') IS NULL THEN CREATE SCHEMA {Name}; END IF;
            END $$;
            SET LOCAL search_path = {Name};
            SET LOCAL client_min_messages = warning;
            SET LOCAL statement_timeout = 0;
            CREATE TABLE IF NOT EXISTS schema_version (version int NOT NULL) WITH (fillfactor = 10);
            """, cancellation);
        var version = await ReadVersionAsync(connection, cancellation);
        if (version > Version)
        {
            throw new StoreOpenException(
                $"The store {server} has schema version {version}, and this program knows versions up to {Version}; "
                + "run the newer program that wrote it, or name another database. It was left as it is.");
        }
        if (version == Version)
        {
            await transaction.RollbackAsync(cancellation);
            return;
        }
        for (var next = version; next < Version; next++)
            await ExecuteAsync(connection, Migrations[next], cancellation);
        await ExecuteAsync(connection, string.Create(CultureInfo.InvariantCulture,
            $"DELETE FROM schema_version; INSERT INTO schema_version VALUES ({Version})"), cancellation);
        await transaction.CommitAsync(cancellation);
    }

    /// <summary>0 where there is no schema yet.</summary>
    public static async Task<int> FindVersionAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var exists = new NpgsqlCommand($"SELECT to_regclass('{Name}.schema_version') IS NOT NULL", connection);
        if (await exists.ExecuteScalarAsync(cancellation) is not true)
            return 0;
        return await ReadVersionAsync(connection, cancellation);
    }

    private static async Task<int> ReadVersionAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand($"SELECT coalesce(max(version), 0) FROM {Name}.schema_version", connection);
        return (int)(await command.ExecuteScalarAsync(cancellation))!;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        await command.ExecuteNonQueryAsync(cancellation);
    }
}

/// <summary>Keys of PostgreSQL's advisory locks (two ints each); they are the database's, whatever the schema.</summary>
internal static class AdvisoryLocks
{
    /// <summary>"WHOP".</summary>
    public const int Store = 0x57484F50;

    public const int Migration = 0;
    public const int Partitions = 1;
    public const int Sweep = 2;

    /// <summary>With a member's id: held for as long as it is alive.</summary>
    public const int Member = Store + 1;

    /// <summary>With a shard: held by its owner.</summary>
    public const int Shard = Store + 2;

    /// <summary>With a member's id: shared by its settlements until they are committed, alone by who ends its claim.</summary>
    public const int Claim = Store + 3;

    /// <summary>As SQL writes it.</summary>
    public const string ClaimText = "1464356691";
}
