using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>TLS as it should be. Which authorities are trusted is a matter of the whole process, so it has one of its own.</summary>
public sealed class TrustedTlsTests
{
    [Fact]
    public async Task A_receiver_with_a_trusted_certificate_is_reached_by_HTTP_2()
    {
        using var folder = new TempFolder();
        using var certificate = Certificates.SelfSigned("localhost");
        await File.WriteAllTextAsync(folder.File("authorities.pem"), certificate.ExportCertificatePem());
        await using var receiver = await Receiver.StartAsync(certificate: certificate);
        Directory.CreateDirectory(folder.File("manifests"));
        await File.WriteAllTextAsync(
            folder.File("manifests/subscription.yaml"),
            $$"""
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata: { name: orders, namespace: default }
            spec: { endpoint: { url: "https://localhost:{{receiver.Url.Port}}/hooks" } }
            """);
        using var http = new HttpMessageInvoker(new SocketsHttpHandler());
        await using var program = new OperatorProcess(folder.Path, http) { Variables = { ["SSL_CERT_FILE"] = folder.File("authorities.pem") } };
        await program.StartAsync();

        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(program.Api, "/v1/namespaces/default/events"))
        {
            Content = new ByteArrayContent("{}"u8.ToArray()),
            Headers = { { "ce-specversion", "1.0" }, { "ce-id", "1" }, { "ce-source", "/test" }, { "ce-type", "test" } },
        };
        request.Content.Headers.ContentType = new("application/json");
        using var answer = await http.SendAsync(request, CancellationToken.None);

        Assert.Equal(202, (int)answer.StatusCode);
        var received = Assert.Single(await receiver.WaitForAsync(1));
        Assert.Equal("HTTP/2", received.Protocol);
        Assert.Equal("/hooks", received.Target);
        Assert.StartsWith("evt_", received.Header("webhook-id"));
    }
}
