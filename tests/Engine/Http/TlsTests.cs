using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>Private authorities, client certificates and other server names.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly SenderFixture _fixture = new();
    private readonly TestAuthority _root = TestAuthority.Root();
    private readonly TestAuthority _other = TestAuthority.Root("Another Root");

    public void Dispose()
    {
        _fixture.Dispose();
        _root.Dispose();
        _other.Dispose();
    }

    [Fact]
    public async Task A_receiver_of_a_private_authority_is_reached_by_HTTP_2_and_only_by_who_trusts_it()
    {
        await using var receiver = await ReceiverAsync();
        var trusting = Endpoint(receiver, Trust(_root.Pem));

        Assert.Equal(200, (await _fixture.SendAsync(trusting)).StatusCode);
        var request = Assert.Single(receiver.Requests);
        Assert.Equal(("HTTP/2", "localhost", null), (request.Protocol, request.ServerName, request.Client));
        Assert.Equal($"localhost:{receiver.Url.Port}", request.Header("host"));

        Refused(await _fixture.SendAsync(trusting with { Tls = null }), "its certificate was issued by CN=Test Root, which is not a trusted authority.");
        Refused(await _fixture.SendAsync(Endpoint(receiver, Trust(_other.Pem))),
            "its certificate was issued by CN=Test Root, which endpoint.tls.caSecretRef does not trust.");
    }

    [Fact]
    public async Task A_receiver_without_HTTP_2_is_reached_by_1_1()
    {
        using var certificate = _root.Server("localhost");
        await using var receiver = await Receiver.StartAsync(certificate: certificate, protocols: HttpProtocols.Http1);
        Assert.Equal(200, (await _fixture.SendAsync(Endpoint(receiver, Trust(_root.Pem)))).StatusCode);
        Assert.Equal("HTTP/1.1", Assert.Single(receiver.Requests).Protocol);
    }

    [Fact]
    public async Task One_of_several_authorities_will_do()
    {
        await using var receiver = await ReceiverAsync();
        var bundle = $"# Production\n{_other.Pem}\n\n# Staging\n{_root.Pem}";
        Assert.Equal(200, (await _fixture.SendAsync(Endpoint(receiver, Trust(bundle)))).StatusCode);
    }

    [Fact]
    public async Task An_issuing_authority_or_the_very_certificate_can_be_trusted_without_its_root()
    {
        using var issuing = _root.Intermediate();
        using var certificate = issuing.Server("localhost");
        await using var receiver = await Receiver.StartAsync(certificate: certificate);

        Assert.Equal(200, (await _fixture.SendAsync(Endpoint(receiver, Trust(issuing.Pem)))).StatusCode);
        Assert.Equal(200, (await _fixture.SendAsync(Endpoint(receiver, Trust(certificate.ExportCertificatePem())))).StatusCode);
        Refused(await _fixture.SendAsync(Endpoint(receiver, Trust(_root.Pem))), "caSecretRef does not trust");
    }

    [Fact]
    public async Task An_authority_that_only_bears_the_name_is_not_trusted()
    {
        using var issuing = _root.Intermediate();
        using var forger = _other.Intermediate();
        using var certificate = forger.Server("localhost");
        await using var receiver = await Receiver.StartAsync(certificate: certificate);
        Assert.Equal(ErrorClass.Tls, (await _fixture.SendAsync(Endpoint(receiver, Trust(issuing.Pem)))).Error);
        Assert.Empty(receiver.Requests);
    }

    [Fact]
    public async Task An_expired_certificate_and_one_for_another_host_are_refused()
    {
        using var expired = _root.Server("localhost", new DateTimeOffset(2020, 1, 2, 0, 0, 0, TimeSpan.Zero));
        await using var first = await Receiver.StartAsync(certificate: expired);
        Refused(await _fixture.SendAsync(Endpoint(first, Trust(_root.Pem))), "its certificate expired on 2020-01-02.");

        await using var second = await ReceiverAsync("hooks.partner.example");
        Refused(await _fixture.SendAsync(Endpoint(second, Trust(_root.Pem))), "its certificate is for hooks.partner.example, not for localhost.");
    }

    [Fact]
    public async Task Another_server_name_is_asked_for_and_verified()
    {
        await using var receiver = await ReceiverAsync("hooks.partner.example");

        var right = Endpoint(receiver, new TlsSettings(_root.Pem, null, null, "hooks.partner.example"));
        Assert.Equal(200, (await _fixture.SendAsync(right)).StatusCode);
        var request = Assert.Single(receiver.Requests);
        Assert.Equal(("hooks.partner.example", $"localhost:{receiver.Url.Port}"), (request.ServerName, request.Header("host")));

        var wrong = Endpoint(receiver, new TlsSettings(_root.Pem, null, null, "other.example"));
        Refused(await _fixture.SendAsync(wrong), "its certificate is for hooks.partner.example, not for other.example.");
    }

    public static TheoryData<string, bool> Keys() => new() { { "RSA", false }, { "RSA", true }, { "EC", false }, { "EC", true }, { "P-521", true } };

    [Theory]
    [MemberData(nameof(Keys))]
    public async Task A_client_certificate_is_presented_with_its_chain(string kind, bool traditional)
    {
        using var issuing = _root.Intermediate();
        using AsymmetricAlgorithm key = kind == "RSA" ? RSA.Create(2048)
            : ECDsa.Create(kind == "EC" ? ECCurve.NamedCurves.nistP256 : ECCurve.NamedCurves.nistP521);
        var client = issuing.Client("acme", key);
        await using var receiver = await ReceiverAsync(clients: _root);

        var settings = new TlsSettings(
            _root.Pem, $"{client.CertificatePem}\n{issuing.Pem}\n", traditional ? client.Traditional : client.Pkcs8, null);
        var result = await _fixture.SendAsync(Endpoint(receiver, settings));

        Assert.Equal((200, null), (result.StatusCode, result.Message));
        Assert.Equal("CN=acme", Assert.Single(receiver.Requests).Client);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_the_receiver_does_not_know_is_told(bool withCertificate)
    {
        var stranger = _other.Client("stranger");
        await using var receiver = await ReceiverAsync(clients: _root);
        var settings = withCertificate ? new TlsSettings(_root.Pem, stranger.CertificatePem, stranger.Pkcs8, null) : Trust(_root.Pem);

        var result = await _fixture.SendAsync(Endpoint(receiver, settings));

        Assert.Null(result.StatusCode);
        Assert.True(result.Error is ErrorClass.Tls or ErrorClass.ConnectionFailed, result.Message);
        Assert.Contains("client certificate", result.Message);
        Assert.Empty(receiver.Requests);
    }

    [Theory]
    [InlineData(42, "the server does not accept the client certificate, or misses one")]
    [InlineData(48, "the server does not accept the client certificate, or misses one")]
    [InlineData(116, "the server does not accept the client certificate, or misses one")]
    [InlineData(70, "protocol version")]
    public async Task An_alert_of_the_receiver_is_told_in_words(int alert, string told)
    {
        await using var receiver = new RawReceiver($"\u0015\u0003\u0003\0\u0002\u0002{(char)alert}");
        Refused(await _fixture.SendAsync(Endpoint(receiver.Port, Trust(_root.Pem))), told);
    }

    [Fact]
    public async Task Equal_settings_share_a_connection_and_changed_ones_make_a_new_one()
    {
        var (before, after) = (_root.Client("before"), _root.Client("after"));
        var hold = new TaskCompletionSource();
        await using var receiver = await ReceiverAsync(clients: _root);
        Endpoint With(ClientIdentity client) => Endpoint(receiver, new TlsSettings(_root.Pem, client.CertificatePem, client.Pkcs8, null));
        _fixture.Keep(With(before), "one");
        _fixture.Keep(With(before), "two");

        await _fixture.SendAsync(With(before));
        await _fixture.SendAsync(With(before));
        Assert.Equal((1, 0), _fixture.Sender.Held);
        Assert.Single(receiver.Requests.Select(r => r.Connection).Distinct());

        // A request is under way when both change.
        receiver.Answer = Answers.After(hold.Task, Answers.Status(202));
        var underWay = _fixture.SendAsync(With(before));
        await receiver.WaitForAsync(3);
        receiver.Answer = Answers.Status(200);
        _fixture.Keep(With(after), "one");
        _fixture.Keep(With(after), "two");
        await _fixture.SendAsync(With(after));
        Assert.Equal((2, 0), _fixture.Sender.Held);

        hold.SetResult();
        Assert.Equal(202, (await underWay).StatusCode);
        Assert.Equal((1, 0), _fixture.Sender.Held);
        Assert.Equal(["CN=before", "CN=before", "CN=before", "CN=after"], receiver.Requests.Select(r => r.Client));

        _fixture.Sender.Forget("one");
        _fixture.Sender.Forget("two");
        Assert.Equal((0, 0), _fixture.Sender.Held);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Links_in_a_certificate_are_not_followed(bool ownAuthorities)
    {
        using var issuing = _root.Intermediate();
        await using var download = await Receiver.StartAsync(async (context, _, ended) =>
            await context.Response.Body.WriteAsync(issuing.Certificate.RawData, ended));
        using var certificate = issuing.Server("localhost", download: download.Url);
        // Without the link's certificate, which a web server would fetch and send.
        var alone = SslStreamCertificateContext.Create(certificate, null, offline: true);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var serve = ServeAsync(listener, alone);

        var result = await _fixture.SendAsync(
            Endpoint(((IPEndPoint)listener.LocalEndpoint).Port, ownAuthorities ? Trust(_root.Pem) : null));

        Refused(result, "its certificate was issued by CN=Test Issuing, which");
        await serve;
        Assert.Empty(download.Requests);
    }

    [Fact]
    public async Task A_receiver_that_speaks_no_TLS_or_closes_in_its_midst_is_told_as_without_settings()
    {
        await using var plain = new RawReceiver("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        Refused(await _fixture.SendAsync(Endpoint(plain.Port, Trust(_root.Pem))), "does not speak https on this port.");
        await using var closing = new RawReceiver("");
        Refused(await _fixture.SendAsync(Endpoint(closing.Port, Trust(_root.Pem))), $"localhost:{closing.Port}");
    }

    [Fact]
    public async Task The_address_guard_stands_before_TLS()
    {
        await using var receiver = await ReceiverAsync();
        using var strict = new SenderFixture("203.0.113.0/24");
        Assert.Equal(ErrorClass.AddressBlocked, (await strict.SendAsync(Endpoint(receiver, Trust(_root.Pem)))).Error);
        Assert.Equal(
            ErrorClass.AddressBlocked, (await strict.SendAsync(Endpoint(receiver, Trust(_root.Pem)) with { IsClusterService = true })).Error);
        Assert.Empty(receiver.Requests);
    }

    private static TlsSettings Trust(string authorities) => new(authorities, null, null, null);

    private static Endpoint Endpoint(Receiver receiver, TlsSettings? tls) => Endpoint(receiver.Url.Port, tls);

    private static Endpoint Endpoint(int port, TlsSettings? tls) => new() { Url = new Uri($"https://localhost:{port}/hooks"), Tls = tls };

    private static void Refused(SendResult result, string told)
    {
        Assert.Equal((ErrorClass.Tls, null), (result.Error, result.StatusCode));
        Assert.Contains(told, result.Message);
        Assert.EndsWith(".", result.Message);
    }

    /// <param name="host">What its certificate is for.</param>
    /// <param name="clients">Only those that it vouches for may call; null for anyone.</param>
    private async Task<Receiver> ReceiverAsync(string host = "localhost", TestAuthority? clients = null)
    {
        var certificate = _root.Server(host);
        return await Receiver.StartAsync(certificate: certificate, tls: https =>
        {
            if (clients is null)
                return;
            https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
            https.ClientCertificateValidation = (presented, chain, _) => IsIssuedBy(clients, presented, chain!);
        });
    }

    /// <summary>One handshake, in which the client may refuse the certificate.</summary>
    private static async Task ServeAsync(TcpListener listener, SslStreamCertificateContext certificate)
    {
        await using var stream = new SslStream(new NetworkStream(await listener.AcceptSocketAsync(), ownsSocket: true));
        try
        {
            await stream.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificateContext = certificate });
            await stream.ReadAtLeastAsync(new byte[1], 1, throwOnEndOfStream: false);
        }
        catch (Exception e) when (e is AuthenticationException or IOException)
        {
            // It did.
        }
    }

    /// <summary>With no more than the client has sent.</summary>
    private static bool IsIssuedBy(TestAuthority root, X509Certificate2 presented, X509Chain sent)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(root.Certificate);
        chain.ChainPolicy.ExtraStore.AddRange(sent.ChainPolicy.ExtraStore);
        return chain.Build(presented);
    }
}
