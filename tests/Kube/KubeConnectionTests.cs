using k8s;
using WebhookOperator.Kube;
using WebhookOperator.Tests.Testing;
using WebhookOperator.Tests.Testing.FakeApi;

namespace WebhookOperator.Tests.Kube;

public sealed class KubeConnectionTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Says_who_asks_and_knows_its_namespace()
    {
        await using var server = await FakeApiServer.StartAsync();
        using var connection = KubeConnection.Open(Kubeconfig(server.Uri, "token: secret", "shop"));
        Assert.Equal("shop", connection.Namespace);
        await connection.Client.CoreV1.ListNamespaceAsync();
        var request = Assert.Single(server.Requests);
        Assert.Equal("secret", request.Token);
        Assert.Matches(@"^webhook-operator/\d+\.\d+\.\d+", request.UserAgent);
    }

    [Theory]
    [InlineData("tokenFile: token")]
    [InlineData("token: old")]
    [InlineData("exec: { apiVersion: client.authentication.k8s.io/v1, command: sh, args: [credentials.sh], interactiveMode: Never }")]
    public async Task A_token_that_is_no_longer_accepted_is_read_anew(string user)
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        var accepted = "old";
        server.Refuse = request => Task.FromResult(request.Token == accepted ? null : new FakeRefusal(401, "Unauthorized", "Unauthorized"));
        await WriteTokenAsync("old");
        // The command is named by its path, since it runs in the folder of the tests.
        user = user.Replace("credentials.sh", _folder.File("credentials.sh"), StringComparison.Ordinal);
        using var connection = KubeConnection.Open(Kubeconfig(server.Uri, user, "acme"));
        var cache = new ObjectCache<Widget>();
        var log = new CapturedLog();
        var listWatch = new ListWatch<Widget>(connection.Client, Widget.Resource, cache, new(), TimeProvider.System, () => 0.5, log.Logger<KubeConnectionTests>());
        using var stop = new CancellationTokenSource();
        var run = Task.Run(() => listWatch.RunAsync(stop.Token));
        await cache.WhenSynced.WaitAsync(TimeSpan.FromSeconds(60));

        // It expires while a watch is open, and its place is taken by a fresh one.
        await WriteTokenAsync("fresh");
        Kubeconfig(server.Uri, user.Replace("old", "fresh", StringComparison.Ordinal), "acme");
        accepted = "fresh";
        await Wait.UntilAsync(() => server.Watches.Count > 0, "a watch is connected");
        foreach (var watch in server.Watches)
            watch.Cut();
        server.Store.Create(Follower.Collection, "acme", Follower.NewWidget("w"));
        await Wait.UntilAsync(() => Task.FromResult(cache.Count == 1), () => $"the watch goes on with the fresh token: {listWatch.Fault}\n{log}");
        await connection.Client.CoreV1.ListNamespaceAsync();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
    }

    [Fact]
    public async Task Credentials_that_are_refused_and_do_not_change_are_told()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        server.Refuse = _ => Task.FromResult<FakeRefusal?>(new FakeRefusal(401, "Unauthorized", "Unauthorized"));
        using var connection = KubeConnection.Open(Kubeconfig(server.Uri, "token: old", "acme"));
        var listWatch = new ListWatch<Widget>(
            connection.Client, Widget.Resource, new ObjectCache<Widget>(), new(), TimeProvider.System, () => 0.5, new CapturedLog().Logger<KubeConnectionTests>());
        using var stop = new CancellationTokenSource();
        var run = Task.Run(() => listWatch.RunAsync(stop.Token));
        await Wait.UntilAsync(() => listWatch.Fault!.Contains("does not accept the credentials (401)", StringComparison.Ordinal), "the fault is told");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
    }

    [Fact]
    public void Several_files_are_one_configuration_in_which_the_first_word_counts()
    {
        File.WriteAllText(_folder.File("context"), "{current-context: b, contexts: [{name: b, context: {cluster: c, user: u, namespace: ns}}]}");
        File.WriteAllText(_folder.File("cluster"), "{clusters: [{name: c, cluster: {server: 'http://one.test'}}]}");
        File.WriteAllText(_folder.File("user"), "{current-context: a, clusters: [{name: c, cluster: {server: 'http://two.test'}}], users: [{name: u, user: {token: t}}]}");
        var configuration = WebhookOperator.Kube.Kubeconfig.Load(
            [_folder.File("missing"), _folder.File("context"), _folder.File("cluster"), _folder.File("user")]);
        Assert.Equal("http://one.test ns t", $"{configuration.Host} {configuration.Namespace} {configuration.AccessToken}");
    }

    [Theory]
    [InlineData(null, "no such file")]
    [InlineData("{}", "server host")]
    [InlineData("current-context: [", "kubeconfig can't be used")]
    [InlineData("{current-context: a, contexts: [{name: a, context: {cluster: gone}}]}", "Cluster not found")]
    public void A_configuration_that_is_not_usable_is_named_with_the_reason(string? text, string reason)
    {
        var file = _folder.File("kubeconfig");
        if (text is not null)
            File.WriteAllText(file, text);
        var fault = Assert.Throws<KubeConnectionException>(() => KubeConnection.Open(file));
        Assert.Contains(file, fault.Message);
        Assert.Contains(reason, fault.Message);
    }

    private async Task WriteTokenAsync(string token)
    {
        await File.WriteAllTextAsync(_folder.File("token"), token);
        await File.WriteAllTextAsync(_folder.File("credentials.sh"),
            """echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"TOKEN"}}'""".Replace("TOKEN", token, StringComparison.Ordinal));
    }

    private string Kubeconfig(Uri server, string user, string @namespace)
    {
        var file = _folder.File("kubeconfig");
        File.WriteAllText(file, $$"""
            apiVersion: v1
            kind: Config
            current-context: test
            clusters: [{ name: test, cluster: { server: "{{server}}" } }]
            contexts: [{ name: test, context: { cluster: test, user: me, namespace: {{@namespace}} } }]
            users: [{ name: me, user: { {{user}} } }]
            """);
        return file;
    }
}
