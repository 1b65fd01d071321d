using System.Net.Sockets;
using System.Text;
using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>Tells faults of the server and of the way to it, which hit every operation, from those of one operation.</summary>
internal static class ServerFault
{
    /// <summary>What was sent is wrong in itself: data exceptions, violated constraints, and what is no text.</summary>
    public static bool IsOwn(Exception e) => e is PostgresException { SqlState: ['2', '2' or '3', ..] } or EncoderFallbackException;

    /// <summary>Another transaction was in the way, and nothing was changed: the same again will do.</summary>
    public static bool IsRace(Exception e) =>
        e is PostgresException { SqlState: PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure };

    public static bool IsTimeout(Exception e) => e is TimeoutException or NpgsqlException { InnerException: TimeoutException };

    /// <summary>No operation would have fared better: the server was not reached, or did not answer.</summary>
    public static bool IsAway(StoreUnavailableException e) =>
        e.InnerException is SocketException or TimeoutException or (NpgsqlException and not PostgresException);

    /// <summary>The connection is gone, and with it the knowledge whether the last commit came through.</summary>
    public static bool IsBroken(NpgsqlConnection connection) => connection.FullState != System.Data.ConnectionState.Open;

    public static StoreUnavailableException Unavailable(ServerAddress server, Exception e) =>
        e as StoreUnavailableException ?? new StoreUnavailableException(Describe(server, e), e);

    /// <summary>What is wrong, where, and what would mend it.</summary>
    public static string Describe(ServerAddress server, Exception e) => e switch
    {
        PostgresException fault => $"PostgreSQL at {server.Name} {Describe(server, fault)} ({fault.SqlState}).",
        _ when IsTimeout(e) =>
            $"PostgreSQL at {server.Name} did not answer in time; see whether it is overloaded, its disk stuck, or the network between.",
        NpgsqlException { InnerException: SocketException socket } => Describe(server, socket),
        SocketException socket => Describe(server, socket),
        NpgsqlException { InnerException: System.Security.Authentication.AuthenticationException tls } =>
            $"The TLS connection to PostgreSQL at {server.Name} failed: {tls.Message} See SSL Mode and Root Certificate of the connection string.",
        NpgsqlException => $"The connection to PostgreSQL at {server.Name} failed: {Sentence(e.Message)}",
        _ => $"The store at {server.Name} failed unexpectedly: {Sentence(e.Message)}",
    };

    private static string Describe(ServerAddress server, SocketException e) => e.SocketErrorCode switch
    {
        SocketError.ConnectionRefused =>
            $"Nothing listens at {server.Name}; start PostgreSQL there, or mend Host and Port of the connection string.",
        SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain =>
            $"The host of {server.Name} is not known to DNS; mend Host of the connection string, or see to the name.",
        SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.TimedOut =>
            $"The host of {server.Name} can't be reached; see the network, a firewall or a NetworkPolicy between.",
        _ => $"The connection to PostgreSQL at {server.Name} broke: {Sentence(e.Message)}",
    };

    private static string Describe(ServerAddress server, PostgresException e) => e.SqlState switch
    {
        PostgresErrorCodes.DiskFull => "has no space left on its disk; free some, or enlarge the volume",
        PostgresErrorCodes.TooManyConnections =>
            $"takes no more connections; raise max_connections, or find who holds them; this program needs up to {SessionPool.Budget} for each replica",
        PostgresErrorCodes.InvalidPassword or PostgresErrorCodes.InvalidAuthorizationSpecification =>
            $"refuses the user {server.User}: {e.MessageText}; mend Username and Password of the connection string, or pg_hba.conf",
        PostgresErrorCodes.InvalidCatalogName =>
            $"has no database {server.Database}; create it: CREATE DATABASE {server.Database} OWNER {server.User}",
        PostgresErrorCodes.InsufficientPrivilege =>
            $"denies the user {server.User} what the store needs ({e.MessageText}); let it own the database, or as its owner run: "
            + $"CREATE SCHEMA {Schema.Name} AUTHORIZATION {server.User}; GRANT CONNECT ON DATABASE {server.Database} TO {server.User}",
        PostgresErrorCodes.ReadOnlySqlTransaction =>
            "is read-only: a standby, or a former primary after a failover; name the primary in Host, or all of them with Target Session Attributes=primary",
        PostgresErrorCodes.CannotConnectNow => $"is starting up or shutting down: {e.MessageText}",
        PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown => $"was shut down, or the session was ended: {e.MessageText}",
        PostgresErrorCodes.QueryCanceled => "did not finish a statement in time; see whether it is overloaded, or its disk slow",
        PostgresErrorCodes.LockNotAvailable => "could not give a lock in time; see pg_stat_activity for a session that holds one too long",
        PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.InvalidSchemaName =>
            $"lacks a table of the store ({e.MessageText}); restore it from a backup, or drop the schema {Schema.Name} and start again with an empty store",
        PostgresErrorCodes.DataCorrupted or PostgresErrorCodes.IndexCorrupted => $"reports damaged data: {e.MessageText}; restore it from a backup",
        _ => $"answered: {e.MessageText}",
    };

    private static string Sentence(string message) => message.EndsWith('.') ? message : message + ".";
}
