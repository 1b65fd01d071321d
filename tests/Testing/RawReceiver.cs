using System.Net;
using System.Net.Sockets;
using System.Text;

namespace WebhookOperator.Tests.Testing;

/// <summary>A TCP server on a free loopback port that is no HTTP server: it answers each connection with given bytes.</summary>
internal sealed class RawReceiver : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stopping = new();
    private readonly string _answer;
    private readonly bool _closes;
    private readonly Arrivals<string> _heads = new();
    private readonly Arrivals<int> _answered = new();
    private readonly Task _loop;

    /// <param name="answer">Sent once the head of a request has come, or at once if the first line is no HTTP.</param>
    /// <param name="closes">Whether the connection is closed after that; else it is left open.</param>
    public RawReceiver(string answer, bool closes = true)
    {
        _answer = answer;
        _closes = closes;
        _listener.Start();
        _loop = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public Uri Url => new($"http://127.0.0.1:{Port}/hooks");

    /// <summary>What came on each connection, up to the empty line after the headers, one byte a character.</summary>
    public IReadOnlyList<string> Heads => _heads.All;

    /// <summary>Once the answer has been handed to the network; fails after a deadline of 30 s.</summary>
    public Task AnsweredAsync() => _answered.WaitForAsync(1, TimeSpan.FromSeconds(30));

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _loop;
        _listener.Dispose();
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
                connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stopping.Token)));
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                _heads.Add(await ReadHeadAsync(stream));
                await stream.WriteAsync(Encoding.Latin1.GetBytes(_answer), _stopping.Token);
                _answered.Add(_answer.Length);
                if (!_closes)
                    await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, _stopping.Token);
                client.Client.Shutdown(SocketShutdown.Send);
                // The rest of the request is read, since closing over it would reset the connection.
                await stream.CopyToAsync(Stream.Null, _stopping.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or IOException or SocketException)
            {
                // The client went away, or the test is over.
            }
        }
    }

    private async Task<string> ReadHeadAsync(NetworkStream stream)
    {
        var head = new StringBuilder();
        var buffer = new byte[4096];
        while (true)
        {
            var read = await stream.ReadAsync(buffer, _stopping.Token);
            head.Append(Encoding.Latin1.GetString(buffer, 0, read));
            var end = head.ToString().IndexOf("\r\n\r\n", StringComparison.Ordinal);
            if (end >= 0)
                return head.ToString(0, end);
            if (read == 0 || head[0] < ' ')
                return head.ToString();
        }
    }
}
