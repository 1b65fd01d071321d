using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>One connection to the database file, with the statements that were prepared on it. One thread at a time.</summary>
internal sealed class Connection : IDisposable
{
    private readonly SqliteConnection _connection;
    private readonly List<Statement> _statements = [];
    private readonly Statement _begin;
    private readonly Statement _beginImmediate;
    private readonly Statement _commit;
    private readonly Statement _rollback;

    static Connection() => Batteries_V2.Init();

    private Connection(SqliteConnection connection)
    {
        _connection = connection;
        _begin = Prepare("BEGIN");
        _beginImmediate = Prepare("BEGIN IMMEDIATE");
        _commit = Prepare("COMMIT");
        _rollback = Prepare("ROLLBACK");
    }

    private sqlite3 Handle => _connection.Handle!;

    /// <summary>Rows that the last statement inserted, changed or deleted.</summary>
    public int Changes => raw.sqlite3_changes(Handle);

    /// <param name="path">Of a file that exists.</param>
    /// <param name="cacheKiB">The most memory that its pages may take.</param>
    /// <param name="busyMilliseconds">How long to wait for a lock that someone else holds.</param>
    /// <exception cref="SqliteException">The file can't be opened.</exception>
    public static Connection Open(string path, int cacheKiB, int busyMilliseconds)
    {
        var text = new SqliteConnectionStringBuilder { DataSource = path, Mode = SqliteOpenMode.ReadWrite, Pooling = false, DefaultTimeout = 1 };
        var connection = new SqliteConnection(text.ConnectionString);
        try
        {
            connection.Open();
            _ = raw.sqlite3_busy_timeout(connection.Handle, busyMilliseconds);
            var opened = new Connection(connection);
            // FULL: a commit is on the disk before anyone is told of it. Checkpoints are run by Checkpointer alone.
            opened.Execute($"""
                PRAGMA synchronous = FULL;
                PRAGMA wal_autocheckpoint = 0;
                PRAGMA journal_size_limit = {Checkpointer.KeptWalBytes};
                PRAGMA temp_store = MEMORY;
                PRAGMA cache_size = -{cacheKiB};
                """);
            return opened;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>The statement lives as long as the connection.</summary>
    public Statement Prepare(string sql)
    {
        var statement = new Statement(Handle, sql);
        _statements.Add(statement);
        return statement;
    }

    /// <summary>Runs any number of statements that are needed once.</summary>
    public void Execute(string sql)
    {
        using var command = _connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    /// <summary>The first column of the first row.</summary>
    public object? Read(string sql)
    {
        using var command = _connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    public void Begin() => _begin.Run();

    public void BeginImmediate() => _beginImmediate.Run();

    public void Commit() => _commit.Run();

    /// <summary>Ends the transaction, if one is open, and leaves every statement ready to be bound.</summary>
    public void Rollback()
    {
        ResetStatements();
        // Some faults, a full disk among them, have rolled back by themselves.
        if (raw.sqlite3_get_autocommit(Handle) == 0)
            _rollback.Run();
    }

    public void ResetStatements()
    {
        foreach (var statement in _statements)
            statement.Reset();
    }

    /// <summary>Pages that this connection has written since the last call.</summary>
    public int TakePagesWritten()
    {
        const int CacheWrite = 9; // SQLITE_DBSTATUS_CACHE_WRITE
        _ = raw.sqlite3_db_status(Handle, CacheWrite, out var pages, out _, resetFlg: 1);
        return pages;
    }

    /// <summary>Copies pages of the write-ahead log into the database file.</summary>
    /// <param name="mode">SQLITE_CHECKPOINT_*.</param>
    /// <param name="remaining">Frames of the log that are not copied yet.</param>
    /// <returns>False if others were in the way, so that less was done than the mode asks for.</returns>
    public bool Checkpoint(int mode, out int remaining)
    {
        var code = raw.sqlite3_wal_checkpoint_v2(Handle, "main", mode, out var frames, out var done);
        remaining = Math.Max(0, frames - done);
        if (code == raw.SQLITE_BUSY)
            return false;
        SqliteException.ThrowExceptionForRC(code, Handle);
        return true;
    }

    public void SetBusyTimeout(int milliseconds) => _ = raw.sqlite3_busy_timeout(Handle, milliseconds);

    public void Dispose()
    {
        foreach (var statement in _statements)
            statement.Dispose();
        _connection.Dispose();
    }
}
