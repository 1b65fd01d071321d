using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>Where the database is, and how sessions there are opened.</summary>
internal sealed class ServerAddress : IDisposable
{
    /// <summary>Also for a statement that waits; the server gives up shortly before, so that the outcome is known.</summary>
    public const int CommandTimeoutSeconds = 12;

    private const string Example = "for example Host=db.example;Database=webhooks;Username=webhook_operator;Password=…";

    /// <summary>
    /// Plans must not depend on how large a table was when its statement was planned: what waits to be sent goes from
    /// nothing to millions within minutes. So every statement has an index that it is meant to use, and uses it. Where it looks up
    /// rows for others, it says <c>a.id BETWEEN b.id AND b.id</c>: for an equality, of a table that is thought to be empty, the
    /// planner would rather walk through all of the index.
    /// </summary>
    public const string SessionSettings = $"""
        SELECT set_config('search_path', '{Schema.Name}', false), set_config('plan_cache_mode', 'force_generic_plan', false),
          set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
          set_config('enable_mergejoin', 'off', false), set_config('enable_bitmapscan', 'off', false), set_config('jit', 'off', false),
          set_config('default_transaction_isolation', 'read committed', false), set_config('statement_timeout', '10s', false), set_config('lock_timeout', '8s', false),
          set_config('idle_in_transaction_session_timeout', '30s', false), set_config('client_min_messages', 'warning', false),
          set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
            ELSE current_setting('synchronous_commit') END, false),
          set_config(s.name, s.setting, false)
        FROM (VALUES ('tcp_keepalives_idle', '2'), ('tcp_keepalives_interval', '1'), ('tcp_keepalives_count', '2'),
          ('tcp_user_timeout', '4s'), ('client_connection_check_interval', '2s')) s (name, setting)
        WHERE EXISTS (SELECT FROM pg_settings p WHERE p.name = s.name)
        """;

    private readonly NpgsqlDataSource _source;

    private ServerAddress(NpgsqlConnectionStringBuilder settings)
    {
        Name = $"{settings.Host}{(settings.Host!.Contains(',', StringComparison.Ordinal) ? "" : $":{settings.Port}")}/{settings.Database}";
        User = settings.Username ?? "";
        Database = settings.Database!;
        _source = new NpgsqlDataSourceBuilder(settings.ConnectionString).Build();
    }

    /// <summary>For messages: host, port and database, no credentials.</summary>
    public string Name { get; }

    public string User { get; }

    public string Database { get; }

    /// <param name="text">As Npgsql takes it, or a URI of the form <c>postgres://user:password@host:port/database?sslmode=require</c>.</param>
    /// <exception cref="StoreOpenException">It can't be used. The message never holds what it says.</exception>
    public static ServerAddress Parse(string text)
    {
        NpgsqlConnectionStringBuilder settings;
        try
        {
            settings = text.StartsWith("postgres://", StringComparison.Ordinal) || text.StartsWith("postgresql://", StringComparison.Ordinal)
                ? FromUri(new Uri(text)) : new NpgsqlConnectionStringBuilder(text);
        }
        catch (Exception e) when (e is ArgumentException or FormatException or InvalidCastException or OverflowException)
        {
            // Not with the exception: it quotes values, and the password is one.
            throw new StoreOpenException("The connection string of the PostgreSQL store can't be read: it must be a list of Key=value, "
                + $"separated by semicolons, {Example}, or a URI, postgres://user:password@host/database.{Keyword(e)}");
        }
        if (string.IsNullOrEmpty(settings.Host))
            throw new StoreOpenException($"The connection string of the PostgreSQL store names no Host; {Example}.");
        if (string.IsNullOrEmpty(settings.Database))
            throw new StoreOpenException($"The connection string of the PostgreSQL store names no Database; {Example}.");
        settings.Pooling = false;
        settings.Multiplexing = false;
        settings.Enlist = false;
        settings.IncludeErrorDetail = false;
        settings.MaxAutoPrepare = 64;
        settings.AutoPrepareMinUsages = 2;
        settings.CommandTimeout = CommandTimeoutSeconds;
        // Not waiting for what a cancelled statement answers: a commit that was cancelled while it waited for a synchronous
        // standby is answered as if the standby had it.
        settings.CancellationTimeout = -1;
        // It needs a library of Kerberos that a small image does not have, and whose absence is told at every start.
        if (!settings.ShouldSerialize("GSS Encryption Mode"))
            settings.GssEncryptionMode = GssEncryptionMode.Disable;
        settings.Timeout = Math.Min(settings.Timeout, 5);
        settings.TcpKeepAlive = true;
        settings.TcpKeepAliveTime = 2;
        settings.TcpKeepAliveInterval = 1;
        settings.WriteBufferSize = settings.ReadBufferSize = 32 * 1024;
        settings.ApplicationName ??= "webhook-operator";
        if (settings.Host.Contains(',', StringComparison.Ordinal))
        {
            settings.TargetSessionAttributes ??= "primary";
            // For so long the driver would not look again at a host that was seen away, or to be a standby.
            if (!settings.ShouldSerialize("Host Recheck Seconds"))
                settings.HostRecheckSeconds = 1;
        }
        else
        {
            // Of one host there is none to choose.
            settings.TargetSessionAttributes = null;
        }
        try
        {
            return new ServerAddress(settings);
        }
        catch (Exception e) when (e is ArgumentException or FormatException or OverflowException or NotSupportedException or InvalidOperationException)
        {
            throw new StoreOpenException("The connection string of the PostgreSQL store can't be used: a port in Host is no number, or two of its keys "
                + "exclude each other, such as SSL Mode=Disable and SSL Negotiation=Direct.");
        }
    }

    /// <summary>A connection as it comes, for checks.</summary>
    public Task<NpgsqlConnection> ConnectAsync(CancellationToken cancellation) => _source.OpenConnectionAsync(cancellation).AsTask();

    /// <summary>A connection of the caller's own, set up for the store's statements.</summary>
    public async Task<NpgsqlConnection> OpenAsync(CancellationToken cancellation)
    {
        var connection = await ConnectAsync(cancellation);
        try
        {
            await using var command = new NpgsqlCommand(SessionSettings, connection);
            await command.ExecuteNonQueryAsync(cancellation);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    public void Dispose() => _source.Dispose();

    private static NpgsqlConnectionStringBuilder FromUri(Uri uri)
    {
        var user = uri.UserInfo.Split(':', 2);
        var settings = new NpgsqlConnectionStringBuilder
        {
            Host = uri.Host,
            Database = Uri.UnescapeDataString(uri.AbsolutePath.TrimStart('/')),
            Username = Uri.UnescapeDataString(user[0]),
            Password = user.Length > 1 ? Uri.UnescapeDataString(user[1]) : null,
        };
        if (uri.Port > 0)
            settings.Port = uri.Port;
        foreach (var pair in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, value) = pair.Split('=', 2) is [var n, var v] ? (n, Uri.UnescapeDataString(v)) : (pair, "");
            settings[name switch
            {
                "sslmode" => "SSL Mode",
                "sslrootcert" => "Root Certificate",
                "sslcert" => "SSL Certificate",
                "sslkey" => "SSL Key",
                "application_name" => "Application Name",
                "connect_timeout" => "Timeout",
                "host" => "Host",
                "target_session_attrs" => "Target Session Attributes",
                _ => name,
            }] = name == "sslmode" ? value.Replace("-", "", StringComparison.Ordinal) : value;
        }
        return settings;
    }

    /// <summary>The word that was not understood is no secret where it stands before an equals sign.</summary>
    private static string Keyword(Exception e) =>
        e is KeyNotFoundException || e.Message.Contains("not supported", StringComparison.OrdinalIgnoreCase) ? " One of its keys is not known." : "";
}
