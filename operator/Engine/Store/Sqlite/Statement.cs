using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>
/// A prepared statement that is used over and over by one thread at a time: bind every parameter in order,
/// then <see cref="Run"/> or <see cref="Step"/>. Parameters and objects of ADO.NET would cost more than the
/// statements themselves.
/// </summary>
internal sealed class Statement : IDisposable
{
    private const int StackBytes = 512;

    private readonly sqlite3 _database;
    private readonly sqlite3_stmt _statement;
    private int _bound;

    public Statement(sqlite3 database, string sql)
    {
        _database = database;
        Check(raw.sqlite3_prepare_v3(database, sql, raw.SQLITE_PREPARE_PERSISTENT, out _statement));
    }

    public Statement Bind(long value)
    {
        Check(raw.sqlite3_bind_int64(_statement, ++_bound, value));
        return this;
    }

    public Statement Bind(long? value)
    {
        if (value is { } number)
            return Bind(number);
        Check(raw.sqlite3_bind_null(_statement, ++_bound));
        return this;
    }

    public Statement Bind(string? value)
    {
        if (value is null)
            return Bind((long?)null);
        var bytes = value.Length <= StackBytes / 3 ? stackalloc byte[StackBytes] : new byte[Encoding.UTF8.GetByteCount(value)];
        return BindText(bytes[..Encoding.UTF8.GetBytes(value, bytes)]);
    }

    public Statement BindText(ReadOnlySpan<byte> utf8)
    {
        Check(raw.sqlite3_bind_text(_statement, ++_bound, utf8));
        return this;
    }

    public Statement BindBlob(ReadOnlySpan<byte> bytes)
    {
        Check(raw.sqlite3_bind_blob(_statement, ++_bound, bytes));
        return this;
    }

    public Statement BindBlobOrNull(ReadOnlySpan<byte> bytes) => bytes.IsEmpty ? Bind((long?)null) : BindBlob(bytes);

    /// <summary>Moves to the next row. False at the end, and then the statement is ready to be bound again.</summary>
    public bool Step()
    {
        var code = raw.sqlite3_step(_statement);
        if (code == raw.SQLITE_ROW)
            return true;
        Reset();
        if (code != raw.SQLITE_DONE)
            SqliteException.ThrowExceptionForRC(code, _database);
        return false;
    }

    /// <summary>Runs to the end, whatever rows there are.</summary>
    public void Run()
    {
        while (Step()) { }
    }

    /// <summary>The first column of the only row; null if there is no row or it holds null.</summary>
    public long? ReadInt64()
    {
        var value = Step() ? NullableInt64(0) : null;
        Reset();
        return value;
    }

    /// <summary>Gives up the rows that are left, and with them the lock that a read holds.</summary>
    public void Reset()
    {
        _bound = 0;
        // Repeats the code of the failed step, which has been thrown by then.
        _ = raw.sqlite3_reset(_statement);
    }

    public bool IsNull(int column) => raw.sqlite3_column_type(_statement, column) == raw.SQLITE_NULL;

    public long Int64(int column) => raw.sqlite3_column_int64(_statement, column);

    public int Int32(int column) => raw.sqlite3_column_int(_statement, column);

    public long? NullableInt64(int column) => IsNull(column) ? null : Int64(column);

    public int? NullableInt32(int column) => IsNull(column) ? null : Int32(column);

    public string Text(int column) => Encoding.UTF8.GetString(Bytes(column));

    public string? NullableText(int column) => IsNull(column) ? null : Text(column);

    /// <summary>A blob, or a text as UTF-8. Valid until the next step or reset.</summary>
    public ReadOnlySpan<byte> Bytes(int column) => raw.sqlite3_column_blob(_statement, column);

    public void Dispose() => _statement.Dispose();

    private void Check(int code)
    {
        if (code != raw.SQLITE_OK)
            SqliteException.ThrowExceptionForRC(code, _database);
    }
}
