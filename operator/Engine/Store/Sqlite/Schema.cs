using System.Globalization;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>The tables, and how a file of an earlier version comes to have them.</summary>
internal static class Schema
{
    /// <summary>Marks a file as this program's ("WHOP"), for <c>file</c> and for the check on open.</summary>
    public const int ApplicationId = 0x57484F50;

    /// <summary>Entry i leads from version i to version i + 1. Never changed once released; only added to.</summary>
    private static readonly string[] Migrations =
    [
        """
        -- Times are unix milliseconds where nothing else is said. Ids are TimeOrderedId: the time of acceptance is in them,
        -- and the deliveries of an event are the ids directly after its own.
        CREATE TABLE event (
          id INTEGER PRIMARY KEY,
          deliveries INTEGER NOT NULL,
          dedupe BLOB NOT NULL,         -- DedupeKey over (namespace, source, ce_id)
          namespace TEXT NOT NULL,
          source TEXT NOT NULL,
          ce_id TEXT NOT NULL,
          type TEXT NOT NULL,
          encoding INTEGER NOT NULL,
          attributes TEXT,              -- a JSON object of all others, in their order
          data_start INTEGER NOT NULL,
          data_length INTEGER NOT NULL,
          data_base64 INTEGER NOT NULL,
          body BLOB NOT NULL            -- last: what stands behind it can be read only through it
        );
        CREATE UNIQUE INDEX event_dedupe ON event (dedupe);

        CREATE TABLE subscription (
          key INTEGER PRIMARY KEY,
          uid TEXT NOT NULL UNIQUE,
          namespace TEXT,               -- null, as name, until there is a delivery
          name TEXT,
          failing_since INTEGER,
          disabled_reason TEXT,
          disabled_message TEXT,
          disabled_generation INTEGER,
          disabled_time INTEGER,
          held_until INTEGER
        );

        CREATE TABLE delivery (
          id INTEGER PRIMARY KEY,
          event INTEGER NOT NULL,
          subscription INTEGER NOT NULL,
          state INTEGER NOT NULL,
          version INTEGER NOT NULL,
          attempts INTEGER NOT NULL,
          step INTEGER NOT NULL,
          started INTEGER NOT NULL,
          due INTEGER NOT NULL,
          ended INTEGER,
          last_status INTEGER,
          last_error INTEGER NOT NULL,
          -- Of the attempt that delivered it; null until then. Most deliveries need no other.
          delivered_time INTEGER,       -- unix microseconds, when the attempt began
          delivered_duration INTEGER,   -- microseconds
          delivered_response BLOB
        );
        -- An index ends in the id by itself.
        CREATE INDEX delivery_log ON delivery (subscription);
        CREATE INDEX delivery_pending ON delivery (subscription, due) WHERE state = 0;
        -- Few are dead or cancelled, so finding them costs a delivered one nothing.
        CREATE INDEX delivery_failed ON delivery (subscription, state) WHERE state >= 2;

        -- All attempts but the one that delivered.
        CREATE TABLE attempt (
          delivery INTEGER NOT NULL,
          number INTEGER NOT NULL,
          time INTEGER NOT NULL,        -- unix microseconds
          duration INTEGER NOT NULL,    -- microseconds
          status INTEGER,
          error INTEGER NOT NULL,
          message TEXT,
          response BLOB,
          PRIMARY KEY (delivery, number)
        ) WITHOUT ROWID;
        """,
    ];

    public static int Version => Migrations.Length;

    /// <summary>Brings the file to <see cref="Version"/>, in one transaction.</summary>
    public static void Migrate(Connection connection, int from)
    {
        if (from == Version)
            return;
        connection.BeginImmediate();
        for (var version = from; version < Version; version++)
            connection.Execute(Migrations[version]);
        connection.Execute(string.Create(CultureInfo.InvariantCulture,
            $"PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {Version};"));
        connection.Commit();
    }
}
