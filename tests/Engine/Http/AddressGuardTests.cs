using System.Buffers.Binary;
using System.Net;
using CsCheck;
using WebhookOperator.Engine.Http;

namespace WebhookOperator.Tests.Engine.Http;

public sealed class AddressGuardTests
{
    private static readonly AddressGuard Guard = new([]);

    /// <summary>Where ranges begin and end.</summary>
    private static readonly string[] Boundaries =
    [
        "0.0.0.0", "1.0.0.0", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", "100.63.255.255", "100.64.0.0",
        "100.127.255.255", "100.128.0.0", "126.255.255.255", "127.0.0.1", "128.0.0.0", "169.253.255.255", "169.254.0.0", "169.254.169.254",
        "169.255.0.0", "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0", "168.63.129.16", "168.63.129.17", "192.0.0.0", "192.0.1.0", "192.0.2.0",
        "192.0.3.0", "192.88.98.255", "192.88.99.0", "192.167.255.255", "192.168.0.0", "192.169.0.0", "198.17.255.255", "198.18.0.0",
        "198.19.255.255", "198.20.0.0", "198.51.100.0", "198.51.101.0", "203.0.112.255", "203.0.113.255", "203.0.114.0",
        "223.255.255.255", "224.0.0.1", "240.0.0.0", "255.255.255.255",
    ];

    private static readonly Gen<byte[]> V4 = Gen.OneOf(
        Gen.Byte.Array[4], Gen.Int[0, Boundaries.Length - 1].Select(i => IPAddress.Parse(Boundaries[i]).GetAddressBytes()));

    [Theory]
    [InlineData("0.0.0.0", "unspecified")]
    [InlineData("10.1.2.3", "private")]
    [InlineData("100.64.0.1", "CGNAT")]
    [InlineData("127.0.0.1", "loopback")]
    [InlineData("127.255.255.254", "loopback")]
    [InlineData("169.254.169.254", "metadata")]
    [InlineData("172.31.255.255", "private")]
    [InlineData("192.0.0.170", "protocol-assignment")]
    [InlineData("192.0.2.1", "documentation")]
    [InlineData("192.168.1.1", "private")]
    [InlineData("198.19.0.1", "benchmarking")]
    [InlineData("224.0.0.251", "multicast")]
    [InlineData("255.255.255.255", "broadcast")]
    [InlineData("::", "unspecified")]
    [InlineData("::1", "loopback")]
    [InlineData("::1%1", "loopback")]
    [InlineData("::ffff:10.0.0.1", "private")]
    [InlineData("::127.0.0.1", "not a global unicast")]
    [InlineData("::ffff:0:127.0.0.1", "not a global unicast")]
    [InlineData("::1.1.1.1", "not a global unicast")]
    [InlineData("4000::1", "not a global unicast")]
    [InlineData("64:ff9b::a9fe:a9fe", "metadata address (169.254.169.254) within")]
    [InlineData("64:ff9b:1::a00:1", "NAT64")]
    [InlineData("100::1", "discard")]
    [InlineData("2001:0:4136:e378:8000:63bf:3fff:fdd2", "protocol-assignment")]
    [InlineData("2001:db8::1", "documentation")]
    [InlineData("2002:7f00:1::", "loopback address (127.0.0.1) within")]
    [InlineData("3fff::1", "documentation")]
    [InlineData("fc00::1", "private")]
    [InlineData("fd00:ec2::254", "cloud metadata")]
    [InlineData("168.63.129.16", "cloud metadata")]
    [InlineData("fe80::1", "link-local")]
    [InlineData("fe80::1%3", "link-local")]
    [InlineData("fec0::1", "site-local")]
    [InlineData("ff02::1", "multicast")]
    public void Refuses(string address, string told) => Assert.Contains(told, Guard.WhyBlocked(IPAddress.Parse(address)));

    [Theory]
    [InlineData("1.1.1.1")]
    [InlineData("93.184.216.34")]
    [InlineData("100.63.255.255")]
    [InlineData("172.32.0.1")]
    [InlineData("223.255.255.255")]
    [InlineData("::ffff:1.1.1.1")]
    [InlineData("64:ff9b::101:101")]
    [InlineData("2002:101:101::")]
    [InlineData("2606:4700:4700::1111")]
    [InlineData("2a00:1450:4001::1")]
    public void Lets_public_addresses_through(string address) => Assert.Null(Guard.WhyBlocked(IPAddress.Parse(address)));

    [Fact]
    public void Judges_every_v4_address_as_its_bits_say() => V4.Sample(b => IsBlocked(b) == IsSpecial(b));

    [Fact]
    public void A_v4_address_gets_no_better_within_a_v6_one() => V4.Sample(b =>
    {
        var blocked = IsBlocked(b);
        byte[][] notations =
        [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, .. b],
            [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, .. b],
            [0x20, 0x02, .. b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ];
        return notations.All(n => IsBlocked(n) == blocked);
    });

    [Fact]
    public void Of_v6_nothing_but_global_unicast_gets_through() => Gen.Byte.Array[16].Sample(b => (b[0] & 0xe0) == 0x20 || IsBlocked(b));

    [Fact]
    public void An_allowed_range_opens_itself_and_nothing_else() =>
        Gen.Select(V4, Gen.Int[0, 32], V4).Sample((network, length, probe) =>
        {
            var mask = length == 0 ? 0 : uint.MaxValue << (32 - length);
            var start = BinaryPrimitives.ReadUInt32BigEndian(network) & mask;
            var range = new IPNetwork(new IPAddress(BinaryPrimitives.ReverseEndianness(start)), length);
            var within = (BinaryPrimitives.ReadUInt32BigEndian(probe) & mask) == start;
            return new AddressGuard([range]).WhyBlocked(new IPAddress(probe)) is not null == (IsSpecial(probe) && !within);
        });

    [Theory]
    [InlineData("10.0.0.0/8", "::ffff:10.0.0.1")]
    [InlineData("10.0.0.0/8", "64:ff9b::a00:1")]
    [InlineData("fd00::/8", "fd12::1")]
    [InlineData("::1/128", "::1")]
    public void An_allowed_range_counts_in_every_notation(string range, string address) =>
        Assert.Null(new AddressGuard([IPNetwork.Parse(range)]).WhyBlocked(IPAddress.Parse(address)));

    /// <summary>What a Service of type ExternalName could lead to, and no other Service does.</summary>
    [Theory]
    [InlineData("0.0.0.0", "unspecified")]
    [InlineData("127.0.0.1", "loopback")]
    [InlineData("169.254.169.254", "metadata")]
    [InlineData("169.254.170.2", "metadata")]
    [InlineData("100.100.100.200", "cloud metadata")]
    [InlineData("168.63.129.16", "cloud metadata")]
    [InlineData("192.0.0.192", "cloud metadata")]
    [InlineData("224.0.0.251", "multicast")]
    [InlineData("255.255.255.255", "broadcast")]
    [InlineData("::", "unspecified")]
    [InlineData("::1", "loopback")]
    [InlineData("::ffff:169.254.169.254", "metadata")]
    [InlineData("64:ff9b::a9fe:a9fe", "metadata address (169.254.169.254) within")]
    [InlineData("64:ff9b:1::a9fe:a9fe", "NAT64")]
    [InlineData("2002:a9fe:a9fe::", "metadata address (169.254.169.254) within")]
    [InlineData("::127.0.0.1", "not a global unicast")]
    [InlineData("fd00:42::42", "cloud metadata")]
    [InlineData("fd00:c1::a9fe:a9fe", "cloud metadata")]
    [InlineData("fd00:ec2::23", "cloud metadata")]
    [InlineData("fd00:ec2::254", "cloud metadata")]
    [InlineData("fd20:ce::254", "cloud metadata")]
    [InlineData("fe80::1", "link-local")]
    [InlineData("ff02::1", "multicast")]
    public void Refuses_for_services_where_none_is(string address, string told)
    {
        Assert.Contains(told, Guard.ForServices().WhyBlocked(IPAddress.Parse(address)));
        var allowed = new AddressGuard([new IPNetwork(IPAddress.Parse(address), IPAddress.Parse(address).GetAddressBytes().Length * 8)]);
        if (!address.StartsWith("::ffff:", StringComparison.Ordinal))
            Assert.Null(allowed.ForServices().WhyBlocked(IPAddress.Parse(address)));
    }

    [Theory]
    [InlineData("10.96.0.10")]
    [InlineData("100.64.0.1")]
    [InlineData("172.20.0.1")]
    [InlineData("192.168.1.1")]
    [InlineData("198.18.0.1")]
    [InlineData("240.0.0.1")]
    [InlineData("34.118.224.1")]
    [InlineData("::ffff:10.96.0.10")]
    [InlineData("64:ff9b::a60:a")]
    [InlineData("fd12:3456::1")]
    [InlineData("2600:1f18::1")]
    public void Lets_services_be_where_clusters_have_them(string address) => Assert.Null(Guard.ForServices().WhyBlocked(IPAddress.Parse(address)));

    [Fact]
    public void A_service_may_be_wherever_another_endpoint_may() =>
        V4.Sample(b => IsBlocked(b) || Guard.ForServices().WhyBlocked(new IPAddress(b)) is null);

    private static bool IsBlocked(byte[] address) => Guard.WhyBlocked(new IPAddress(address)) is not null;

    /// <summary>The IANA special-purpose registry for v4, written out by hand.</summary>
    private static bool IsSpecial(byte[] address) => address switch
    {
        [0 or 10 or 127 or >= 224, ..] => true,
        [100, >= 64 and < 128, ..] => true,
        [168, 63, 129, 16] => true, // Azure's metadata
        [169, 254, ..] => true,
        [172, >= 16 and < 32, ..] => true,
        [192, 0, 0 or 2, _] => true,
        [192, 88, 99, _] => true,
        [192, 168, ..] => true,
        [198, 18 or 19, ..] => true,
        [198, 51, 100, _] => true,
        [203, 0, 113, _] => true,
        _ => false,
    };
}
