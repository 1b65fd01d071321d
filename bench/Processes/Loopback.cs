using System.Net;
using System.Net.Sockets;

namespace WebhookOperator.Bench.Processes;

internal static class Loopback
{
    /// <summary>Bound but not listening: it refuses connections, and nobody else can take its port while it lives.</summary>
    public static Socket Bind()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    public static Uri UrlOf(Socket socket) => new($"http://127.0.0.1:{((IPEndPoint)socket.LocalEndPoint!).Port}");

    public static HttpMessageInvoker NewInvoker() => new(new SocketsHttpHandler
    {
        UseProxy = false, UseCookies = false, AllowAutoRedirect = false, ActivityHeadersPropagator = null,
    });
}
