using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace WebhookOperator.Bench.Processes;

/// <summary>Passes TCP connections on to a server, and cuts them all when told to.</summary>
internal sealed class CuttingProxy : IAsyncDisposable
{
    private readonly Uri _server;
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<TcpClient, byte> _open = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _accepting;

    public CuttingProxy(Uri server)
    {
        _server = server;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public Uri Url => new($"{_server.Scheme}://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");

    /// <summary>In the middle of whatever is on its way.</summary>
    public void Cut()
    {
        foreach (var connection in _open.Keys)
        {
            connection.LingerState = new LingerOption(true, 0);
            connection.Close();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        Cut();
        await _accepting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _listener.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            var client = await _listener.AcceptTcpClientAsync(_stop.Token);
            _ = PassAsync(client);
        }
    }

    private async Task PassAsync(TcpClient client)
    {
        using var server = new TcpClient();
        try
        {
            _open[client] = 0;
            await server.ConnectAsync(_server.Host, _server.Port, _stop.Token);
            _open[server] = 0;
            await Task.WhenAny(client.GetStream().CopyToAsync(server.GetStream(), _stop.Token), server.GetStream().CopyToAsync(client.GetStream(), _stop.Token));
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            // It was cut, or ended by one of its ends.
        }
        finally
        {
            _open.TryRemove(server, out _);
            _open.TryRemove(client, out _);
            client.Dispose();
        }
    }
}
