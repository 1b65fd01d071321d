using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace WebhookOperator.Tests.Testing;

internal static class Ports
{
    /// <summary>Below those that systems give to outgoing connections, one of which could take a port again before it is used.</summary>
    private const int First = 20_000;
    private const int End = 32_000;

    private static readonly ConcurrentDictionary<int, bool> Given = new();
    private static readonly Random Random = new();

    /// <summary>A port of the loopback interface that was free a moment ago; never the same one twice.</summary>
    public static int Free()
    {
        while (true)
        {
            int port;
            lock (Random)
                port = Random.Next(First, End);
            if (IsFree(port) && Given.TryAdd(port, true))
                return port;
        }
    }

    private static bool IsFree(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressAlreadyInUse or SocketError.AccessDenied)
        {
            return false;
        }
    }
}
