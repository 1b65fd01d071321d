using k8s;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Bench.Processes;

/// <summary>The newest real API server that is there, and what the sections do with it.</summary>
internal sealed class ApiServer : IAsyncDisposable
{
    private const string Plural = WebhookSubscription.KubePlural;
    private const int Parallelism = 16;

    private readonly ControlPlane _plane;
    private readonly Kubernetes _client;

    private ApiServer(ControlPlane plane)
    {
        _plane = plane;
        _client = new Kubernetes(KubernetesClientConfiguration.BuildConfigFromConfigFile(plane.Admin.Kubeconfig));
    }

    /// <summary>Of the administrator.</summary>
    public string Kubeconfig => _plane.Admin.Kubeconfig;

    public Uri Url => _plane.Url;

    public string Version => _plane.Version.ToString();

    public static async Task<ApiServer> StartAsync()
    {
        var plane = await ControlPlane.StartAsync((await ControlPlanePrograms.FindAsync()).NewestApiServer);
        try
        {
            await plane.InstallCrdsAsync();
            return new ApiServer(plane);
        }
        catch
        {
            await plane.DisposeAsync();
            throw;
        }
    }

    /// <summary>Makes a namespace, and returns the token of an account in it that may publish and read.</summary>
    public async Task<string> AddNamespaceAsync(string name)
    {
        await _plane.Admin.RunAsync("create", "namespace", name);
        await _plane.Admin.RunAsync("create", "serviceaccount", "bench", "-n", name);
        await _plane.Admin.RunAsync(
            "create", "role", "bench", "-n", name, "--verb=create,get", $"--resource={Plural}.{ApiGroup.Name}/events,{Plural}.{ApiGroup.Name}/deliveries");
        await _plane.Admin.RunAsync("create", "rolebinding", "bench", "-n", name, "--role=bench", $"--serviceaccount={name}:bench");
        return await _plane.TokenAsync(name, "bench", "webhook-operator", TimeSpan.FromHours(2));
    }

    public Task AddAsync(IEnumerable<WebhookSubscription> subscriptions, CancellationToken cancellation) =>
        Parallel.ForEachAsync(subscriptions, Options(cancellation), async (subscription, token) => await _client.CustomObjects
            .CreateNamespacedCustomObjectAsync(
                subscription, ApiGroup.Name, ApiGroup.Version, subscription.Metadata.NamespaceProperty, Plural, cancellationToken: token));

    /// <summary>Secrets of a kilobyte that no subscription names.</summary>
    public async Task AddSecretsAsync(string @namespace, int count, CancellationToken cancellation)
    {
        await _plane.Admin.RunAsync("create", "namespace", @namespace);
        await Parallel.ForEachAsync(Enumerable.Range(0, count), Options(cancellation), async (i, token) => await _client.CoreV1.CreateNamespacedSecretAsync(
            new V1Secret { Metadata = new V1ObjectMeta { Name = $"s{i}" }, Data = new Dictionary<string, byte[]> { ["data"] = new byte[1024] } },
            @namespace, cancellationToken: token));
    }

    /// <summary>A merge patch of one subscription.</summary>
    public Task PatchAsync(string @namespace, string name, object patch, CancellationToken cancellation) =>
        _client.CustomObjects.PatchNamespacedCustomObjectAsync(
            new V1Patch(patch, V1Patch.PatchType.MergePatch), ApiGroup.Name, ApiGroup.Version, @namespace, Plural, name, cancellationToken: cancellation);

    public Task DeleteAsync(string @namespace, string name, CancellationToken cancellation) =>
        _client.CustomObjects.DeleteNamespacedCustomObjectAsync(ApiGroup.Name, ApiGroup.Version, @namespace, Plural, name, cancellationToken: cancellation);

    public async Task<IList<WebhookSubscription>> ListAsync(string @namespace, CancellationToken cancellation) =>
        (await _client.CustomObjects.ListNamespacedCustomObjectAsync<SubscriptionList>(
            ApiGroup.Name, ApiGroup.Version, @namespace, Plural, cancellationToken: cancellation)).Items;

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _plane.DisposeAsync();
    }

    private static ParallelOptions Options(CancellationToken cancellation) =>
        new() { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellation };

    private sealed record SubscriptionList : IKubernetesObject<V1ListMeta>, IItems<WebhookSubscription>
    {
        public string ApiVersion { get; set; } = ApiGroup.ApiVersion;
        public string Kind { get; set; } = WebhookSubscription.KubeKind + "List";
        public V1ListMeta Metadata { get; set; } = new();
        public IList<WebhookSubscription> Items { get; set; } = [];
    }
}
