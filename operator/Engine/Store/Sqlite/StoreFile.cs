using System.Globalization;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>
/// The database file, held for this process alone until disposed. The lock is the kernel's (flock), so it
/// goes with the process however that ends.
/// </summary>
internal sealed class StoreFile : IDisposable
{
    /// <summary>Up to here every page is checked on open; beyond, that would delay the start by seconds.</summary>
    private const long WholeCheckBytes = 64 << 20;

    /// <summary>What a lock that someone else holds looks like: EWOULDBLOCK, or ERROR_SHARING_VIOLATION.</summary>
    private const int WouldBlockLinux = 11;
    private const int WouldBlockMac = 35;
    private const int SharingViolation = unchecked((int)0x80070020);

    private readonly FileStream _lock;

    private StoreFile(string path, FileStream @lock)
    {
        Path = path;
        _lock = @lock;
    }

    public string Path { get; }

    /// <summary>Locks the file, creates it if there is none, checks it, and brings it to the current schema.</summary>
    /// <exception cref="StoreOpenException">The message says what to do.</exception>
    public static StoreFile Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        CheckPlace(path);
        var file = new StoreFile(path, Lock(path));
        try
        {
            CheckHeader(path);
            file.Prepare();
            return file;
        }
        catch (SqliteException e)
        {
            file.Dispose();
            throw Refuse(path, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            file.Dispose();
            throw new StoreOpenException($"The store {path} can't be read and written by this user: {e.Message}", e);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public void Dispose() => _lock.Dispose();

    private static void CheckPlace(string path)
    {
        if (Directory.Exists(path))
            throw new StoreOpenException($"The store {path} is a directory; name a file in it, for example {path}/store.db.");
        var directory = System.IO.Path.GetDirectoryName(path);
        if (!Directory.Exists(directory))
        {
            throw new StoreOpenException(
                $"The directory {directory} of the store {path} does not exist; create it, mount the volume there, or name another.");
        }
    }

    private static FileStream Lock(string path)
    {
        var lockPath = path + ".lock";
        try
        {
            return new FileStream(lockPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e.HResult is WouldBlockLinux or WouldBlockMac or SharingViolation)
        {
            throw new StoreOpenException(
                $"The store {path} is in use by another process, and only one can have it open; stop that one "
                + $"(`fuser {lockPath}` tells which it is), or name another file.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StoreOpenException(
                $"The lock {lockPath} of the store can't be written: {e.Message} The directory must be writable by this user.", e);
        }
    }

    private static void CheckHeader(string path)
    {
        // Others on the machine have no business with payloads. SQLite gives its -wal and -shm the same mode.
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var stream = new FileStream(path, options);
        if (stream.Length == 0)
            return;
        var magic = "SQLite format 3\0"u8;
        var start = new byte[magic.Length];
        if (stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false) < start.Length || !start.AsSpan().SequenceEqual(magic))
        {
            throw new StoreOpenException(
                $"The file {path} is not an SQLite database, or its beginning is damaged; it was left as it is. "
                + "Name another file, or restore this one from a backup.");
        }
    }

    private void Prepare()
    {
        using var connection = Connection.Open(Path, cacheKiB: 8192, busyMilliseconds: 2000);
        var application = Number(connection, "PRAGMA application_id");
        var version = Number(connection, "PRAGMA user_version");
        var isNew = Number(connection, "SELECT count(*) FROM sqlite_schema") == 0 && application == 0 && version == 0;
        if (!isNew && application != Schema.ApplicationId)
            throw new StoreOpenException($"The database {Path} belongs to another application; it was left as it is. Name another file.");
        if (version > Schema.Version)
        {
            throw new StoreOpenException(
                $"The store {Path} has schema version {version}, and this program knows versions up to {Schema.Version}; "
                + "run the newer program that wrote it, or name another file. It was left as it is.");
        }
        if (isNew)
            connection.Execute("PRAGMA auto_vacuum = INCREMENTAL");
        if (connection.Read("PRAGMA journal_mode = WAL") is not "wal")
        {
            throw new StoreOpenException(
                $"The store {Path} can't have a write-ahead log, which needs shared memory; put it on a local file system.");
        }
        // What a killed process left in the log goes into the file, so that the file is whole when it is checked.
        connection.Checkpoint(raw.SQLITE_CHECKPOINT_TRUNCATE, out _);
        if (new FileInfo(Path).Length <= WholeCheckBytes && connection.Read("PRAGMA quick_check(1)") is string found and not "ok")
            throw Damaged(Path, found);
        Schema.Migrate(connection, (int)version);
    }

    private static long Number(Connection connection, string sql) =>
        Convert.ToInt64(connection.Read(sql), CultureInfo.InvariantCulture);

    private static StoreOpenException Refuse(string path, SqliteException e) => e.SqliteErrorCode switch
    {
        raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB => Damaged(path, e.Message, e),
        raw.SQLITE_BUSY or raw.SQLITE_LOCKED => new StoreOpenException(
            $"The store {path} is locked by another program (an SQLite shell or a backup, perhaps); close that one and start again.", e),
        _ => new StoreOpenException($"The store {path} can't be opened. {StorageFault.Describe(path, e)}", e),
    };

    private static StoreOpenException Damaged(string path, string found, Exception? inner = null) => new(
        $"The store {path} is damaged ({found}). Restore it from a backup, save what can be read with "
        + $"`sqlite3 {path} .recover`, or move it away together with {path}-wal to start with an empty one: "
        + "what it holds is then not delivered.", inner);
}
