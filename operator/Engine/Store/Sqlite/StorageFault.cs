using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>Tells faults of the disk, the file and its locks, which hit every operation, from those of one operation.</summary>
internal static class StorageFault
{
    public static bool Is(Exception e) => e is SqliteException
    {
        SqliteErrorCode: raw.SQLITE_FULL or raw.SQLITE_IOERR or raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB
            or raw.SQLITE_BUSY or raw.SQLITE_LOCKED or raw.SQLITE_READONLY or raw.SQLITE_CANTOPEN
            or raw.SQLITE_NOMEM or raw.SQLITE_PROTOCOL or raw.SQLITE_PERM or raw.SQLITE_NOLFS
    };

    public static StoreUnavailableException Unavailable(string path, Exception e) => new(Describe(path, e), e);

    /// <summary>What is wrong, where, and what would mend it.</summary>
    public static string Describe(string path, Exception e) => e is not SqliteException fault
        ? $"The store {path} failed unexpectedly: {e.Message}"
        : fault.SqliteErrorCode switch
        {
            raw.SQLITE_FULL => $"The disk that holds the store {path} is full; free some space or enlarge the volume.",
            raw.SQLITE_IOERR =>
                $"The disk that holds the store {path} failed (SQLite code {fault.SqliteExtendedErrorCode}); see the kernel's log and the volume.",
            raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB =>
                $"The store {path} is damaged ({fault.Message}); stop the program and restore the file from a backup, "
                + $"or save what can be read with `sqlite3 {path} .recover`.",
            raw.SQLITE_BUSY or raw.SQLITE_LOCKED =>
                $"The store {path} is locked by another program (an SQLite shell or a backup, perhaps); close that one.",
            raw.SQLITE_READONLY or raw.SQLITE_PERM =>
                $"The store {path} can't be written any more; see whether its volume was remounted read-only or its mode changed.",
            raw.SQLITE_CANTOPEN =>
                $"The store {path} can't be opened; see whether it was moved or deleted, its volume unmounted, or open files are at their limit.",
            _ => $"The store {path} failed: {fault.Message}",
        };
}
