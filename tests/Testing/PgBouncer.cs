using System.Diagnostics;
using System.Net.Sockets;

namespace WebhookOperator.Tests.Testing;

/// <summary>A real PgBouncer before a server.</summary>
internal sealed class PgBouncer : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly string _folder;

    private PgBouncer(string folder, int port)
    {
        _folder = folder;
        Port = port;
    }

    public int Port { get; }

    public static async Task<PgBouncer> StartAsync(PostgresServer server, string poolMode)
    {
        var folder = Directory.CreateTempSubdirectory("pgbouncer-").FullName;
        var bouncer = new PgBouncer(folder, Ports.Free());
        await File.WriteAllTextAsync(Path.Combine(folder, "users"), $"\"postgres\" \"{PostgresServer.Password}\"\n");
        await File.WriteAllTextAsync(Path.Combine(folder, "pgbouncer.ini"), $"""
            [databases]
            * = host=127.0.0.1 port={server.Port}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {bouncer.Port}
            unix_socket_dir =
            auth_type = plain
            auth_file = {folder}/users
            pool_mode = {poolMode}
            logfile = {folder}/log
            pidfile = {folder}/pid
            """);
        await PostgresServer.GiveAwayAsync(folder);
        var program = File.Exists("/usr/sbin/pgbouncer") ? "/usr/sbin/pgbouncer" : "pgbouncer";
        await PostgresServer.RunUnprivilegedAsync(program, "--daemon", Path.Combine(folder, "pgbouncer.ini"));
        await bouncer.WaitUntilListeningAsync();
        return bouncer;
    }

    public async ValueTask DisposeAsync()
    {
        if (File.Exists(Path.Combine(_folder, "pid")))
        {
            using var kill = Process.Start("kill", ["-KILL", (await File.ReadAllTextAsync(Path.Combine(_folder, "pid"))).Trim()]);
            await kill.WaitForExitAsync();
        }
        Directory.Delete(_folder, recursive: true);
    }

    private async Task WaitUntilListeningAsync()
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync("127.0.0.1", Port);
                return;
            }
            catch (SocketException) when (clock.Elapsed < Deadline)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
            }
        }
    }
}
