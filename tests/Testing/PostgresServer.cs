using System.Diagnostics;
using Npgsql;

namespace WebhookOperator.Tests.Testing;

/// <summary>
/// A real PostgreSQL server, of the newest version that is installed, in a temporary folder and on a free port of the
/// loopback interface, durable as in production. It refuses to run as root, so root starts it as the user postgres.
/// </summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    public const string Password = "s3cret-Sup3r";

    private const string Missing = "PostgreSQL's programs are missing; hack/need-postgres.sh installs them.";
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private static readonly string Programs = FindPrograms();

    private readonly string _folder;
    private readonly string[] _options;
    private bool _frozen;

    private PostgresServer(string folder, int port, string[] options)
    {
        _folder = folder;
        Port = port;
        _options = options;
    }

    public int Port { get; }

    public string DataFolder => Path.Combine(_folder, "data");

    /// <summary>What the server has logged so far.</summary>
    public string Log => File.Exists(LogFile) ? File.ReadAllText(LogFile) : "";

    private string LogFile => Path.Combine(_folder, "log");

    /// <param name="options">Settings, <c>name=value</c>, beyond the defaults.</param>
    public static async Task<PostgresServer> StartAsync(params string[] options)
    {
        var folder = Directory.CreateTempSubdirectory("postgres-").FullName;
        var server = new PostgresServer(folder, Ports.Free(), options);
        var password = Path.Combine(folder, "password");
        await File.WriteAllTextAsync(password, Password);
        await GiveAwayAsync(folder);
        await server.RunProgramAsync("initdb", "--pgdata", server.DataFolder, "--username", "postgres", "--pwfile", password,
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions");
        await server.StartAgainAsync();
        return server;
    }

    /// <summary>Starts a standby of this server, which follows it.</summary>
    public async Task<PostgresServer> StartStandbyAsync()
    {
        var folder = Directory.CreateTempSubdirectory("postgres-").FullName;
        await GiveAwayAsync(folder);
        var standby = new PostgresServer(folder, Ports.Free(), _options);
        await standby.RunProgramAsync("pg_basebackup", "--pgdata", standby.DataFolder, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync",
            "--dbname", $"host=127.0.0.1 port={Port} user=postgres password={Password}");
        await standby.StartAgainAsync();
        return standby;
    }

    public string ConnectionString(string database, string user = "postgres", string password = Password, int? port = null) =>
        $"Host=127.0.0.1;Port={port ?? Port};Database={database};Username={user};Password={password}";

    /// <summary>To whichever of the two is the primary.</summary>
    public string ConnectionString(string database, PostgresServer standby) =>
        ConnectionString(database).Replace(
            $"Host=127.0.0.1;Port={Port}", $"Host=127.0.0.1:{Port},127.0.0.1:{standby.Port};Target Session Attributes=primary", StringComparison.Ordinal);

    /// <summary>No commit of this server is answered from here on before its standby has it on disk.</summary>
    public async Task WaitForStandbyAsync()
    {
        await ExecuteAsync("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        await ExecuteAsync("postgres", "SELECT pg_reload_conf()");
        while (await ReadAsync("postgres", "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'") is null)
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
    }

    /// <summary>This standby becomes a primary.</summary>
    public Task PromoteAsync() => RunProgramAsync("pg_ctl", "promote", "--pgdata", DataFolder, "--wait", "--timeout", "60");

    public async Task StartAgainAsync()
    {
        var options = _options.Append($"port={Port}").Append("listen_addresses=127.0.0.1").Append($"unix_socket_directories={_folder}");
        await RunProgramAsync("pg_ctl", "start", "--pgdata", DataFolder, "--log", LogFile, "--wait", "--timeout", "60",
            "--options", string.Join(' ', options.Select(o => $"-c {o}")));
    }

    /// <summary>"fast" ends sessions and writes a checkpoint; "immediate" is a crash.</summary>
    public Task StopAsync(string mode = "fast") => RunProgramAsync("pg_ctl", "stop", "--pgdata", DataFolder, "--mode", mode, "--wait", "--timeout", "60");

    public async Task RestartAsync(string mode = "fast")
    {
        await StopAsync(mode);
        await StartAgainAsync();
    }

    /// <summary>Until <see cref="ThawAsync"/> it keeps its connections, takes new ones, and answers nothing.</summary>
    public async Task FreezeAsync()
    {
        _frozen = true;
        // The server first: then it starts no more sessions, and those that end meanwhile keep their numbers.
        await SignalAsync("-STOP", Postmaster);
        foreach (var session in Sessions())
            await SignalAsync("-STOP", session);
    }

    public async Task ThawAsync()
    {
        foreach (var session in Sessions())
            await SignalAsync("-CONT", session);
        await SignalAsync("-CONT", Postmaster);
        _frozen = false;
    }

    /// <summary>An empty database of its own, for one test.</summary>
    public async Task<string> CreateDatabaseAsync(string? owner = null)
    {
        var name = $"test_{Guid.NewGuid():N}";
        await ExecuteAsync("postgres", $"CREATE DATABASE {name}" + (owner is null ? "" : $" OWNER {owner}"));
        return name;
    }

    public Task DropDatabaseAsync(string name) => ExecuteAsync("postgres", $"DROP DATABASE IF EXISTS {name} WITH (FORCE)");

    /// <summary>As the superuser.</summary>
    public async Task ExecuteAsync(string database, string sql)
    {
        await using var connection = await ConnectAsync(database);
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>The first column of the first row, as the superuser.</summary>
    public async Task<object?> ReadAsync(string database, string sql)
    {
        await using var connection = await ConnectAsync(database);
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }

    public async Task<NpgsqlConnection> ConnectAsync(string database)
    {
        var connection = new NpgsqlConnection(ConnectionString(database) + ";Pooling=false");
        await connection.OpenAsync();
        return connection;
    }

    public async ValueTask DisposeAsync()
    {
        if (_frozen)
            await ThawAsync();
        if (File.Exists(Path.Combine(DataFolder, "postmaster.pid")))
            await StopAsync("immediate");
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Runs one of PostgreSQL's programs, or another, as a user that is not root.</summary>
    public static async Task RunUnprivilegedAsync(string program, params string[] arguments)
    {
        if (Environment.UserName == "root")
            await RunAsync("setpriv", ["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--", program, .. arguments]);
        else
            await RunAsync(program, arguments);
    }

    /// <summary>Makes the user that the programs run as the owner.</summary>
    public static Task GiveAwayAsync(string folder) =>
        Environment.UserName == "root" ? RunAsync("chown", "--recursive", "postgres:", folder) : Task.CompletedTask;

    private string Postmaster => File.ReadLines(Path.Combine(DataFolder, "postmaster.pid")).First();

    private static Task SignalAsync(string signal, string process) => RunAsync("kill", [signal, process]);

    private string[] Sessions() =>
        File.ReadAllText($"/proc/{Postmaster}/task/{Postmaster}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private async Task RunProgramAsync(string program, params string[] arguments)
    {
        try
        {
            await RunUnprivilegedAsync(Path.Combine(Programs, program), arguments);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidOperationException($"{e.Message}\n{Log}", e);
        }
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        // Not the streams of the test: a server that stays would keep them open.
        var output = Path.GetTempFileName();
        using var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec \"$@\" >\"$0\" 2>&1 </dev/null", output, program, .. arguments])
        {
            WorkingDirectory = "/",
        })!;
        using var deadline = new CancellationTokenSource(Deadline);
        await process.WaitForExitAsync(deadline.Token);
        var text = await File.ReadAllTextAsync(output);
        File.Delete(output);
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{text}");
    }

    private static string FindPrograms()
    {
        const string Debian = "/usr/lib/postgresql";
        var folders = Directory.Exists(Debian)
            ? Directory.EnumerateDirectories(Debian).OrderByDescending(d => int.TryParse(Path.GetFileName(d), out var version) ? version : 0)
                .Select(d => Path.Combine(d, "bin"))
            : [];
        folders = folders.Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries));
        return folders.FirstOrDefault(f => File.Exists(Path.Combine(f, "initdb")) && File.Exists(Path.Combine(f, "postgres")))
            ?? throw new InvalidOperationException(Missing);
    }
}
