using System.Net;
using System.Net.Sockets;

namespace WebhookOperator.Tests.Testing;

internal static class Ports
{
    /// <summary>A port of the loopback interface that was free a moment ago.</summary>
    public static int Free()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
