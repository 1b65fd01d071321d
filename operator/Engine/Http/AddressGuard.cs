using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;

namespace WebhookOperator.Engine.Http;

/// <summary>
/// Which addresses requests may go to: only public ones, unless a range is allowed. Checked on the address
/// that is connected to, after name resolution, so that no name, redirect or odd literal gets around it.
/// </summary>
internal sealed class AddressGuard(ImmutableArray<IPNetwork> allowed)
{
    /// <summary>
    /// The IANA special-purpose registries (RFC 6890 and its updates), less what is globally reachable, and
    /// the clouds' metadata services, which are within link-local or unique-local ranges.
    /// </summary>
    private static readonly ImmutableArray<(IPNetwork Range, string Name)> Blocked =
    [
        (IPNetwork.Parse("0.0.0.0/8"), "an unspecified address"),
        (IPNetwork.Parse("10.0.0.0/8"), "a private address"),
        (IPNetwork.Parse("100.64.0.0/10"), "a shared (CGNAT) address"),
        (IPNetwork.Parse("127.0.0.0/8"), "a loopback address"),
        (IPNetwork.Parse("169.254.0.0/16"), "a link-local or metadata address"),
        (IPNetwork.Parse("172.16.0.0/12"), "a private address"),
        (IPNetwork.Parse("192.0.0.0/24"), "a protocol-assignment address"),
        (IPNetwork.Parse("192.0.2.0/24"), "a documentation address"),
        (IPNetwork.Parse("192.88.99.0/24"), "a 6to4 relay address"),
        (IPNetwork.Parse("192.168.0.0/16"), "a private address"),
        (IPNetwork.Parse("198.18.0.0/15"), "a benchmarking address"),
        (IPNetwork.Parse("198.51.100.0/24"), "a documentation address"),
        (IPNetwork.Parse("203.0.113.0/24"), "a documentation address"),
        (IPNetwork.Parse("224.0.0.0/4"), "a multicast address"),
        (IPNetwork.Parse("240.0.0.0/4"), "a reserved or broadcast address"),
        (IPNetwork.Parse("::/128"), "an unspecified address"),
        (IPNetwork.Parse("::1/128"), "a loopback address"),
        (IPNetwork.Parse("64:ff9b:1::/48"), "a local NAT64 address"),
        (IPNetwork.Parse("100::/64"), "a discard address"),
        (IPNetwork.Parse("2001::/23"), "a protocol-assignment address"),
        (IPNetwork.Parse("2001:db8::/32"), "a documentation address"),
        (IPNetwork.Parse("3fff::/20"), "a documentation address"),
        (IPNetwork.Parse("5f00::/16"), "a segment-routing address"),
        (IPNetwork.Parse("fc00::/7"), "a private address"),
        (IPNetwork.Parse("fe80::/10"), "a link-local address"),
        (IPNetwork.Parse("fec0::/10"), "a site-local address"),
        (IPNetwork.Parse("ff00::/8"), "a multicast address"),
    ];

    /// <summary>All of v6 that IANA has opened for global unicast.</summary>
    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    private static readonly IPNetwork Nat64 = IPNetwork.Parse("64:ff9b::/96");
    private static readonly IPNetwork SixToFour = IPNetwork.Parse("2002::/16");

    /// <summary>What kind of address it is, where it is refused; null where it may be connected to.</summary>
    public string? WhyBlocked(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        foreach (var range in allowed)
            if (range.Contains(address))
                return null;
        foreach (var (range, name) in Blocked)
            if (range.Contains(address))
                return name;
        // The v4 address that a translator or tunnel would reach.
        if (Embedded(address) is { } inner)
            return WhyBlocked(inner) is { } why ? $"{why} ({inner}) within a v6 one" : null;
        return address.AddressFamily == AddressFamily.InterNetworkV6 && !GlobalUnicast.Contains(address) ? "not a global unicast address" : null;
    }

    private static IPAddress? Embedded(IPAddress address)
    {
        if (address.AddressFamily != AddressFamily.InterNetworkV6)
            return null;
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        if (SixToFour.Contains(address))
            return new IPAddress(bytes[2..6]);
        return Nat64.Contains(address) ? new IPAddress(bytes[12..]) : null;
    }
}

/// <summary>Every address of the destination is one that the guard refuses.</summary>
internal sealed class AddressBlockedException(string message) : IOException(message);
