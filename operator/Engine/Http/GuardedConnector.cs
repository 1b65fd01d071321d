using System.Net;
using System.Net.Sockets;

namespace WebhookOperator.Engine.Http;

/// <summary>Opens connections for the sender: resolves the name, asks the guard about each address, and connects to one that is allowed.</summary>
internal sealed class GuardedConnector(AddressGuard guard)
{
    /// <summary>For <see cref="SocketsHttpHandler.ConnectCallback"/>.</summary>
    /// <exception cref="AddressBlockedException">Every address is refused.</exception>
    /// <exception cref="SocketException">The name has no address, or no address could be connected to.</exception>
    public async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        var (host, port) = (context.DnsEndPoint.Host, context.DnsEndPoint.Port);
        var addresses = IPAddress.TryParse(host, out var literal) ? [literal] : await Dns.GetHostAddressesAsync(host, cancellation);
        string? blocked = null;
        Exception? failure = null;
        foreach (var address in addresses)
        {
            if (guard.WhyBlocked(address) is { } why)
            {
                blocked ??= $"{address} is {why}";
                continue;
            }
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(address, port, cancellation);
                return new ConvoyStream(socket);
            }
            catch (Exception e)
            {
                socket.Dispose();
                if (e is not SocketException)
                    throw;
                failure = e;
            }
        }
        throw failure ?? (blocked is null
            ? new SocketException((int)SocketError.NoData)
            : new AddressBlockedException($"The address guard refused {host}: {blocked}. {guard.WayOut}"));
    }
}
