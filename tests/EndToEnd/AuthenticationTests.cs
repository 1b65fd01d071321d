using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.EndToEnd;

/// <summary>Credentials change while events are delivered.</summary>
public sealed class AuthenticationTests : IDisposable
{
    private const string Subscription = """
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSubscription
        metadata: { name: bank, namespace: acme }
        spec:
          endpoint:
            url: "https://localhost:PORT/hooks"
            headers:
            - { name: X-Key, valueFrom: { secretKeyRef: { name: bank, key: key } } }
            auth:
              oauth2: { tokenUrl: "TOKEN_URL", clientId: "acme shop", clientSecretRef: { name: bank, key: client-secret } }
            tls:
              caSecretRef: { name: bank, key: ca.crt }
              clientCertificateSecretRef: { name: bank-client }
              serverName: hooks.bank.example
          delivery:
            retry: { schedule: [1s, 1s, 1s, 1s, 1s, 5s, 5s, 5s, 5s, 5s], jitterPercent: 0 }
            circuitBreaker: { breakDuration: 1s }
        """;

    private readonly TestAuthority _root = TestAuthority.Root();
    private readonly ConcurrentBag<string> _published = [];

    public void Dispose() => _root.Dispose();

    [Fact]
    public async Task All_kinds_at_once_follow_their_Secrets_and_no_event_is_lost_or_sent_twice()
    {
        await using var tokens = await TokenServer.StartAsync();
        await using var bank = await BankAsync(_root);
        await using var local = await LocalOperator.StartAsync(
            Secrets("key-1", tokens.ClientSecret, _root.Client("before")) + "\n---\n" + Manifest(bank, tokens));

        await PublishUntilAsync(local, () => bank.Requests.Count >= 20);
        Assert.All(bank.Requests, request => Assert.Equal(
            ("CN=before", "key-1", "Bearer token-1", "hooks.bank.example"),
            (request.Client, request.Header("x-key"), request.Header("authorization"), request.ServerName)));

        (tokens.FormerClientSecret, tokens.ClientSecret) = (tokens.ClientSecret, "another");
        await local.ApplyAsync("resources.yaml", Secrets("key-2", "another", _root.Client("after")) + "\n---\n" + Manifest(bank, tokens));
        await PublishUntilAsync(local, () => bank.Requests.Count(request => request.Client == "CN=after") >= 20);
        await LocalOperator.UntilAsync(() => Task.FromResult(local.Reports.Count == _published.Count));

        Assert.All(local.Reports, report => Assert.Equal((DeliveryState.Delivered, 1), (report.State, report.Attempt?.Number)));
        Assert.Equal(_published.Order(), bank.Requests.Select(request => request.Header("webhook-id")).Order());
        Assert.All(bank.Requests, request => Assert.Contains(
            (request.Client, request.Header("x-key")), new (string?, string?)[] { ("CN=before", "key-1"), ("CN=after", "key-2") }));
        Assert.All(bank.Requests, request => Assert.Contains(request.Header("authorization")?["Bearer ".Length..], tokens.Issued));
    }

    [Fact]
    public async Task What_can_not_be_used_holds_deliveries_until_it_can()
    {
        await using var tokens = await TokenServer.StartAsync();
        await using var bank = await BankAsync(_root);
        var client = _root.Client("acme");
        await using var local = await LocalOperator.StartAsync(
            Secrets("key", tokens.ClientSecret, new ClientIdentity(client.CertificatePem, _root.Client("other").Key)) + "\n---\n" + Manifest(bank, tokens));
        await PublishUntilAsync(local, () => true);
        await LocalOperator.UntilAsync(async () =>
            (await local.GetAsync("/v1/namespaces/acme/subscriptions/bank")).Text.Contains("The key tls.key of the Secret bank-client is not the key of the first certificate.", StringComparison.Ordinal));
        Assert.Empty(bank.Requests);

        await local.ApplyAsync("resources.yaml", Secrets("key", "wrong-s3cret", client) + "\n---\n" + Manifest(bank, tokens));
        await LocalOperator.UntilAsync(() => Task.FromResult(local.Reports.Any(report => report.Attempt?.Error == ErrorClass.OAuth2)));
        var status = (await local.GetAsync("/v1/namespaces/acme/subscriptions/bank")).Text;
        Assert.DoesNotContain("wrong-s3cret", status);
        Assert.Empty(bank.Requests);

        await local.ApplyAsync("resources.yaml", Secrets("key", tokens.ClientSecret, client) + "\n---\n" + Manifest(bank, tokens));
        Assert.Equal(_published.Single(), (await bank.WaitForAsync(1))[0].Header("webhook-id"));
    }

    private static async Task<Receiver> BankAsync(TestAuthority root) => await Receiver.StartAsync(
        certificate: root.Server("hooks.bank.example"), tls: https =>
        {
            https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
            https.ClientCertificateValidation = (certificate, _, _) => certificate.Issuer == root.Certificate.Subject;
        });

    private static string Manifest(Receiver bank, TokenServer tokens) => Subscription
        .Replace("PORT", $"{bank.Url.Port}", StringComparison.Ordinal).Replace("TOKEN_URL", tokens.Url.ToString(), StringComparison.Ordinal);

    private string Secrets(string key, string clientSecret, ClientIdentity client) => $$"""
        apiVersion: v1
        kind: Secret
        metadata: { name: bank, namespace: acme }
        stringData: { key: {{key}}, client-secret: {{Quoted(clientSecret)}}, ca.crt: {{Quoted(_root.Pem)}} }
        ---
        apiVersion: v1
        kind: Secret
        type: kubernetes.io/tls
        metadata: { name: bank-client, namespace: acme }
        stringData: { tls.crt: {{Quoted(client.CertificatePem)}}, tls.key: {{Quoted(client.Pkcs8)}} }
        """;

    private static string Quoted(string text) => JsonSerializer.Serialize(text);

    /// <summary>One after the other, at least one.</summary>
    private async Task PublishUntilAsync(LocalOperator local, Func<bool> enough) => await LocalOperator.UntilAsync(async () =>
    {
        var answer = await local.PublishAsync("{}", $"{_published.Count + 1}");
        _published.Add((string)answer.Json["id"]!);
        return enough();
    });
}
