using System.Net;
using System.Net.Sockets;

namespace WebhookOperator.Tests.Testing;

/// <summary>Stands between a client and a server on the loopback interface, and cuts connections when the test says so.</summary>
internal sealed class TcpProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly int _target;
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<TcpClient> _open = [];
    private readonly List<Task> _running = [];
    private Func<ReadOnlyMemory<byte>, bool>? _cutBeforeAnswerTo;
    private volatile bool _refusing;

    public TcpProxy(int target)
    {
        _target = target;
        _listener.Start();
        _running.Add(AcceptAsync());
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>New connections are closed at once.</summary>
    public bool Refusing { get => _refusing; set => _refusing = value; }

    /// <summary>The next request of which this is true reaches the server, whole; its connection is cut instead of bringing back the answer.</summary>
    public void CutBeforeAnswerTo(Func<ReadOnlyMemory<byte>, bool> request) => Volatile.Write(ref _cutBeforeAnswerTo, request);

    /// <summary>Ends every connection.</summary>
    public void CutAll()
    {
        lock (_open)
            foreach (var client in _open)
                client.Close();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        CutAll();
        await Task.WhenAll(_running);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                if (_refusing)
                    client.Close();
                else
                    lock (_open)
                        _running.Add(ServeAsync(client));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
                return;
            }
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        await Task.Yield();
        using var server = new TcpClient { NoDelay = true };
        client.NoDelay = true;
        lock (_open)
        {
            _open.Add(client);
            _open.Add(server);
        }
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _target, _stop.Token);
            var swallow = new StrongBox();
            await Task.WhenAny(ForwardAsync(client, server, swallow, fromClient: true), ForwardAsync(server, client, swallow, fromClient: false));
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or InvalidOperationException)
        {
            // Either end has gone.
        }
        finally
        {
            client.Close();
            server.Close();
            lock (_open)
            {
                _open.Remove(client);
                _open.Remove(server);
            }
        }
    }

    private async Task ForwardAsync(TcpClient from, TcpClient to, StrongBox swallow, bool fromClient)
    {
        var buffer = new byte[64 * 1024];
        while (true)
        {
            var count = await from.GetStream().ReadAsync(buffer, _stop.Token);
            if (count == 0)
                return;
            if (fromClient && Volatile.Read(ref _cutBeforeAnswerTo) is { } wanted && wanted(buffer.AsMemory(0, count)))
            {
                Volatile.Write(ref _cutBeforeAnswerTo, null);
                swallow.Value = true;
            }
            if (!fromClient && swallow.Value)
                return; // The server has answered, so it has done what it was asked.
            await to.GetStream().WriteAsync(buffer.AsMemory(0, count), _stop.Token);
        }
    }

    private sealed class StrongBox
    {
        private volatile bool _value;

        public bool Value { get => _value; set => _value = value; }
    }
}
