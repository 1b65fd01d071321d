using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;

namespace WebhookOperator.Engine.Http;

/// <summary>
/// Which addresses requests may go to: only public ones, unless a range is allowed. Checked on the address
/// that is connected to, after name resolution, so that no name, redirect or odd literal gets around it.
/// </summary>
internal sealed class AddressGuard
{
    /// <summary>
    /// Where clouds and their agents hand out credentials to whoever asks from within, so far as they are not
    /// link-local. Azure's is a public address.
    /// </summary>
    private static readonly ImmutableArray<IPNetwork> Metadata =
    [
        IPNetwork.Parse("100.100.100.200/32"), // Alibaba Cloud
        IPNetwork.Parse("168.63.129.16/32"), // Azure
        IPNetwork.Parse("192.0.0.192/32"), // Oracle Cloud
        IPNetwork.Parse("fd00:42::42/128"), // Scaleway
        IPNetwork.Parse("fd00:c1::a9fe:a9fe/128"), // Oracle Cloud
        IPNetwork.Parse("fd00:ec2::/32"), // AWS: instance metadata, pod identities and more
        IPNetwork.Parse("fd20:ce::254/128"), // Google Cloud
    ];

    /// <summary>
    /// The IANA special-purpose registries (RFC 6890 and its updates), less what is globally reachable. Those that
    /// clusters are known to take for pods and Services are marked so.
    /// </summary>
    private static readonly ImmutableArray<(IPNetwork Range, string Name, bool Cluster)> Blocked =
    [
        (IPNetwork.Parse("0.0.0.0/8"), "an unspecified address", false),
        (IPNetwork.Parse("10.0.0.0/8"), "a private address", true),
        (IPNetwork.Parse("100.64.0.0/10"), "a shared (CGNAT) address", true),
        (IPNetwork.Parse("127.0.0.0/8"), "a loopback address", false),
        (IPNetwork.Parse("169.254.0.0/16"), "a link-local or metadata address", false),
        (IPNetwork.Parse("172.16.0.0/12"), "a private address", true),
        (IPNetwork.Parse("192.0.0.0/24"), "a protocol-assignment address", false),
        (IPNetwork.Parse("192.0.2.0/24"), "a documentation address", true),
        (IPNetwork.Parse("192.88.99.0/24"), "a 6to4 relay address", false),
        (IPNetwork.Parse("192.168.0.0/16"), "a private address", true),
        (IPNetwork.Parse("198.18.0.0/15"), "a benchmarking address", true),
        (IPNetwork.Parse("198.51.100.0/24"), "a documentation address", true),
        (IPNetwork.Parse("203.0.113.0/24"), "a documentation address", true),
        (IPNetwork.Parse("224.0.0.0/4"), "a multicast address", false),
        (IPNetwork.Parse("255.255.255.255/32"), "a broadcast address", false),
        (IPNetwork.Parse("240.0.0.0/4"), "a reserved address", true),
        (IPNetwork.Parse("::/128"), "an unspecified address", false),
        (IPNetwork.Parse("::1/128"), "a loopback address", false),
        (IPNetwork.Parse("64:ff9b:1::/48"), "a local NAT64 address", false),
        (IPNetwork.Parse("100::/64"), "a discard address", false),
        (IPNetwork.Parse("2001::/23"), "a protocol-assignment address", false),
        (IPNetwork.Parse("2001:db8::/32"), "a documentation address", true),
        (IPNetwork.Parse("3fff::/20"), "a documentation address", true),
        (IPNetwork.Parse("5f00::/16"), "a segment-routing address", false),
        (IPNetwork.Parse("fc00::/7"), "a private address", true),
        (IPNetwork.Parse("fe80::/10"), "a link-local address", false),
        (IPNetwork.Parse("fec0::/10"), "a site-local address", false),
        (IPNetwork.Parse("ff00::/8"), "a multicast address", false),
    ];

    /// <summary>All of v6 that IANA has opened for global unicast.</summary>
    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    private static readonly IPNetwork Nat64 = IPNetwork.Parse("64:ff9b::/96");
    private static readonly IPNetwork SixToFour = IPNetwork.Parse("2002::/16");

    private readonly ImmutableArray<IPNetwork> _allowed;
    private readonly bool _forServices;

    /// <param name="allowed">Let through whatever they are.</param>
    public AddressGuard(ImmutableArray<IPNetwork> allowed) : this(allowed, forServices: false)
    {
    }

    private AddressGuard(ImmutableArray<IPNetwork> allowed, bool forServices)
    {
        _allowed = allowed;
        _forServices = forServices;
    }

    /// <summary>For people: how to reach what is refused.</summary>
    public string WayOut => _forServices
        ? "No Service of a cluster is there, unless one of type ExternalName points to it. If it is meant, allow its range with --allow-cidr."
        : "If it is meant, allow its range with --allow-cidr, or name the Service as endpoint.service.";

    /// <summary>
    /// The same for requests to Services, which are mostly in private ranges: these are let through too. The rest
    /// stays closed, since whoever may edit a namespace can make a Service of type ExternalName that leads
    /// anywhere, to the node itself and to the cloud's metadata too.
    /// </summary>
    public AddressGuard ForServices() => new(_allowed, forServices: true);

    /// <summary>What kind of address it is, where it is refused; null where it may be connected to.</summary>
    public string? WhyBlocked(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        foreach (var range in _allowed)
            if (range.Contains(address))
                return null;
        foreach (var range in Metadata)
            if (range.Contains(address))
                return "a cloud metadata address";
        foreach (var (range, name, cluster) in Blocked)
            if (range.Contains(address))
                return cluster && _forServices ? null : name;
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
