using System.Text;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>Requests that get no answer, and how that is told.</summary>
public sealed class SenderFailureTests : IDisposable
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    private readonly SenderFixture _fixture = new();

    public void Dispose() => _fixture.Dispose();

    [Fact]
    public async Task A_closed_port()
    {
        var url = new Uri($"http://127.0.0.1:{Ports.Free()}/hooks?token=secret");
        Failed(await _fixture.SendAsync(url), ErrorClass.ConnectionRefused, $"127.0.0.1:{url.Port} refused the connection");
    }

    [Fact]
    public async Task A_name_that_does_not_exist() =>
        Failed(await _fixture.SendAsync(new Uri("http://no-such-host.invalid/?token=secret")), ErrorClass.Dns, "no-such-host.invalid");

    [Fact]
    public async Task A_connection_that_is_reset()
    {
        await using var receiver = await Receiver.StartAsync(Answers.Reset);
        Failed(await _fixture.SendAsync(receiver.Url), ErrorClass.ConnectionFailed, receiver.Url.Authority);
    }

    [Theory]
    [InlineData("", "closed it without an answer")]
    [InlineData("HTTP/1.1 200 OK\r\nx-half", "closed it without an answer")]
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n", "was not HTTP")]
    [InlineData("HTTP/1.1 9999 What\r\n\r\n", "was not HTTP")]
    [InlineData("HTTP/1.1 500 a\0b\r\n\r\n", "was not HTTP")]
    [InlineData("\0\u0001\u0002\u0003\r\n\r\n", "was not HTTP")]
    [InlineData("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "was not HTTP")]
    [InlineData("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", null)]
    public async Task An_answer_that_is_none(string answer, string? told)
    {
        await using var receiver = new RawReceiver(answer);
        var result = await _fixture.SendAsync(receiver.Url);
        if (told is not null)
            Failed(result, ErrorClass.ConnectionFailed, told);
    }

    [Fact]
    public async Task Headers_that_never_end()
    {
        await using var receiver = new RawReceiver($"HTTP/1.1 200 OK\r\nx: {new string('x', 100 * 1024)}\r\n\r\n");
        Failed(await _fixture.SendAsync(receiver.Url), ErrorClass.ConnectionFailed, "larger than 64 KiB");
    }

    [Fact]
    public async Task A_certificate_that_no_one_trusts()
    {
        using var certificate = Certificates.SelfSigned("localhost");
        await TlsFailsAsync(certificate, "localhost", "issued by CN=localhost, which is not a trusted authority");
    }

    [Fact]
    public async Task A_certificate_that_has_expired()
    {
        using var certificate = Certificates.SelfSigned("localhost", new DateTimeOffset(2020, 1, 2, 0, 0, 0, TimeSpan.Zero));
        await TlsFailsAsync(certificate, "localhost", "expired on 2020-01-02");
    }

    [Fact]
    public async Task A_certificate_for_another_name()
    {
        using var certificate = Certificates.SelfSigned("other.example");
        await TlsFailsAsync(certificate, "localhost", "is for other.example, not for localhost");
    }

    /// <summary>PostgreSQL takes neither NUL nor half a surrogate pair.</summary>
    [Fact]
    public async Task Names_in_a_certificate_that_are_no_plain_text()
    {
        using var certificate = Certificates.Named(new string('x', 196) + "\U0001f600.example", "good.example\0.evil.example\r\n");
        await using var receiver = await Receiver.StartAsync(certificate: certificate);

        var result = await _fixture.SendAsync(new Uri($"https://localhost:{receiver.Url.Port}/hooks"));

        Failed(result, ErrorClass.Tls, "is for good.example\ufffd.evil.example  , not for localhost");
        Assert.Contains($"issued by CN={new string('x', 196)}…", result.Message);
        Assert.Equal(result.Message, Strict.GetString(Strict.GetBytes(result.Message!)));
        Assert.DoesNotContain(result.Message!, char.IsControl);
    }

    [Fact]
    public async Task A_receiver_that_speaks_no_TLS()
    {
        await using var receiver = new RawReceiver("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        var url = new Uri($"https://127.0.0.1:{receiver.Port}/hooks");
        Failed(await _fixture.SendAsync(url), ErrorClass.Tls, "does not speak https on this port");
    }

    [Fact]
    public async Task A_receiver_that_closes_in_the_midst_of_TLS()
    {
        await using var receiver = new RawReceiver("");
        Failed(await _fixture.SendAsync(new Uri($"https://127.0.0.1:{receiver.Port}/hooks")), ErrorClass.Tls, $"127.0.0.1:{receiver.Port}");
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("127.1")]
    [InlineData("2130706433")]
    [InlineData("0x7f.0.0.1")]
    [InlineData("0177.0.0.1")]
    [InlineData("0")]
    [InlineData("localhost")]
    [InlineData("[::1]")]
    [InlineData("[::ffff:127.0.0.1]")]
    [InlineData("[::ffff:7f00:1]")]
    [InlineData("[64:ff9b::7f00:1]")]
    [InlineData("[fe80::1%251]")]
    [InlineData("169.254.169.254")]
    public async Task Odd_spellings_do_not_get_around_the_guard(string host)
    {
        await using var receiver = await Receiver.StartAsync();
        using var strict = new SenderFixture("203.0.113.0/24");

        var result = await strict.SendAsync(new Uri($"http://{host}:{receiver.Url.Port}/hooks"));

        Failed(result, ErrorClass.AddressBlocked, "--allow-cidr");
        Assert.Empty(receiver.Requests);
    }

    /// <summary>Whether these have an address depends on the machine's resolver.</summary>
    [Theory]
    [InlineData("127.0.0.1.")]
    [InlineData("LOCALHOST.")]
    [InlineData("\uff11\uff12\uff17.0.0.1")]
    [InlineData("127。0。0。1")]
    [InlineData("localhost.localdomain")]
    public async Task Names_that_may_resolve_do_not_get_around_it_either(string host)
    {
        await using var receiver = await Receiver.StartAsync();
        using var strict = new SenderFixture("203.0.113.0/24");

        var result = await strict.SendAsync(new Uri($"http://{host}:{receiver.Url.Port}/hooks"));

        Assert.True(result.Error is ErrorClass.AddressBlocked or ErrorClass.Dns, result.Message);
        Assert.Empty(receiver.Requests);
    }

    /// <summary>A Service of type ExternalName may name anything.</summary>
    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("localhost")]
    [InlineData("[::1]")]
    [InlineData("[::ffff:127.0.0.1]")]
    [InlineData("0")]
    [InlineData("169.254.169.254")]
    [InlineData("[fd00:ec2::254]")]
    public async Task A_cluster_service_is_not_the_node_or_the_clouds_metadata(string host)
    {
        await using var receiver = await Receiver.StartAsync();
        using var strict = new SenderFixture("203.0.113.0/24");

        var result = await strict.SendAsync(new Endpoint { Url = new Uri($"http://{host}:{receiver.Url.Port}/hooks"), IsClusterService = true });

        Failed(result, ErrorClass.AddressBlocked, "ExternalName");
        Assert.Empty(receiver.Requests);
    }

    [Fact]
    public async Task A_cluster_service_may_be_where_it_is_allowed()
    {
        await using var receiver = await Receiver.StartAsync();
        Assert.Equal(200, (await _fixture.SendAsync(new Endpoint { Url = receiver.Url, IsClusterService = true })).StatusCode);
        Assert.Single(receiver.Requests);
    }

    [Fact]
    public async Task Of_a_names_addresses_those_that_are_allowed_are_tried_in_turn()
    {
        // Where localhost is ::1 too, nothing listens there.
        await using var receiver = await Receiver.StartAsync();
        Assert.Equal(200, (await _fixture.SendAsync(new Uri($"http://localhost:{receiver.Url.Port}/hooks"))).StatusCode);
        using var v4Only = new SenderFixture("127.0.0.0/8");
        Assert.Equal(200, (await v4Only.SendAsync(new Uri($"http://localhost:{receiver.Url.Port}/hooks"))).StatusCode);
    }

    private static void Failed(SendResult result, ErrorClass error, string told)
    {
        Assert.Equal((error, null), (result.Error, result.StatusCode));
        Assert.Contains(told, result.Message);
        Assert.EndsWith(".", result.Message);
        Assert.DoesNotContain("secret", result.Message);
    }

    private async Task TlsFailsAsync(System.Security.Cryptography.X509Certificates.X509Certificate2 certificate, string host, string told)
    {
        await using var receiver = await Receiver.StartAsync(certificate: certificate);
        Failed(await _fixture.SendAsync(new Uri($"https://{host}:{receiver.Url.Port}/hooks")), ErrorClass.Tls, told);
        Assert.Empty(receiver.Requests);
    }
}
