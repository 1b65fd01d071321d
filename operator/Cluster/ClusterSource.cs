using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using k8s;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Kube;

namespace WebhookOperator.Cluster;

/// <summary>
/// The Kubernetes API as the source of resources: caches that lists and watches keep up to date. Writes what only
/// the leader may write only while this replica leads, however long ago it decided to.
/// </summary>
internal sealed class ClusterSource : IResourceSource
{
    /// <summary>The kind of the key that <see cref="Changed"/> gives where a namespace comes or goes.</summary>
    private const string NamespaceKind = "Namespace";

    private const string ControllerManager = "webhook-operator/controller";
    private const string DeliveryManager = "webhook-operator/delivery";

    /// <summary>Told where the API server does not know the kind.</summary>
    private const string CrdHint = "install the CRDs of this version: webhook-operator crds | kubectl apply --server-side -f -";

    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(15);

    /// <summary>A write of the leader is over before another can lead.</summary>
    private static readonly TimeSpan LeaderCallLimit = TimeSpan.FromSeconds(4);

    private readonly ApiCalls _calls;
    private readonly StatusApplier _applier;
    private readonly NamespaceScope _scope;
    private readonly Func<bool> _leads;
    private readonly TimeProvider _time;
    private readonly ObjectCache<WebhookSubscription> _subscriptions = new();
    private readonly ObjectCache<WebhookSecret> _webhookSecrets = new();
    private readonly ObjectCache<V1Secret> _secrets = new();
    private readonly ObjectCache<V1Namespace> _namespaces = new();
    private readonly SavedSecrets _saved;
    private readonly PolledSecrets _polled;
    private readonly List<(Func<CancellationToken, Task> RunAsync, Func<string?> Fault)> _watches = [];
    private readonly SpecVersions _specs = new();
    private volatile NameSet _names;

    /// <param name="client">To the API server.</param>
    /// <param name="scope">Nothing is read outside of it.</param>
    /// <param name="isNamed">Whether a resource is made from the Secret of that key.</param>
    /// <param name="leads">Whether this replica may write what only the leader writes.</param>
    /// <param name="time">For all waits.</param>
    /// <param name="random">0 to 1, spreads reconnections.</param>
    /// <param name="loggers">Where faults are told.</param>
    public ClusterSource(
        IKubernetes client, NamespaceScope scope, Func<ResourceKey, bool> isNamed, Func<bool> leads, TimeProvider time, Func<double> random,
        ILoggerFactory loggers)
    {
        _calls = new ApiCalls(client, time);
        _applier = new StatusApplier(client, time);
        _scope = scope;
        _leads = leads;
        _time = time;
        _saved = new SavedSecrets(time);
        var logger = loggers.CreateLogger<ClusterSource>();
        _polled = new PolledSecrets(ReadSecretAsync, isNamed, key => Changed?.Invoke(key), time, logger);
        _names = new NameSet(null, scope.Names.ToFrozenSet(StringComparer.Ordinal));

        Watch(Kinds.Subscriptions, _subscriptions, new ListWatchOptions<WebhookSubscription>
        {
            NotFoundHint = CrdHint,
            Trim = item => Untracked(item) with { Misfits = Known(_subscriptions, item)?.Misfits ?? Conformance.Misfits(item) },
            Unreadable = (metadata, fault) => new WebhookSubscription { Metadata = metadata, Misfits = Conformance.Unreadable(fault) },
        });
        Watch(Kinds.WebhookSecrets, _webhookSecrets, new ListWatchOptions<WebhookSecret>
        {
            NotFoundHint = CrdHint,
            Trim = item => Untracked(item) with { Misfits = Known(_webhookSecrets, item)?.Misfits ?? Conformance.Misfits(item) },
            Unreadable = (metadata, fault) => new WebhookSecret { Metadata = metadata, Misfits = Conformance.Unreadable(fault) },
        });
        Watch(Kinds.Secrets, _secrets, new ListWatchOptions<V1Secret> { LabelSelector = $"{ApiGroup.WatchLabel}=true" });
        _subscriptions.Changed += name =>
        {
            if (_specs.IsNew(name, _subscriptions))
                Tell(WebhookSubscription.KubeKind, name);
        };
        _webhookSecrets.Changed += name => Tell(WebhookSecret.KubeKind, name);
        _secrets.Changed += name =>
        {
            _polled.Forget(name);
            Tell(V1Secret.KubeKind, name);
        };
        if (scope.Names.IsEmpty)
        {
            Watch(Kinds.Namespaces, _namespaces, new ListWatchOptions<V1Namespace> { Trim = NameOnly });
            _namespaces.Changed += name => Changed?.Invoke(new ResourceKey(NamespaceKind, "", name.Name));
        }

        void Watch<T>(KubeResource resource, ObjectCache<T> cache, ListWatchOptions<T> options)
            where T : class, IKubernetesObject<V1ObjectMeta>
        {
            string?[] namespaces = scope.Names.IsEmpty ? [null] : [.. scope.Names];
            foreach (var name in namespaces)
            {
                var watch = new ListWatch<T>(
                    client, resource, cache, options with { Namespace = name, Trim = options.Trim ?? Untracked }, time, random, logger);
                _watches.Add((watch.RunAsync, () => watch.Fault));
            }
        }
    }

    public event Action<ResourceKey>? Changed;

    public bool Synced =>
        _subscriptions.Synced && _webhookSecrets.Synced && _secrets.Synced && (!_scope.Names.IsEmpty || _namespaces.Synced);

    /// <summary>What keeps the caches from being filled, or kept up to date; null while all is well.</summary>
    public string? Fault => _watches.Select(watch => watch.Fault()).FirstOrDefault(fault => fault is not null);

    public IReadOnlySet<string> Namespaces
    {
        get
        {
            if (!_scope.Names.IsEmpty)
                return _names.Set;
            var items = _namespaces.Items;
            var names = _names;
            if (!ReferenceEquals(names.Of, items))
                _names = names = new NameSet(items, items.Select(item => item.Metadata.Name).ToFrozenSet(StringComparer.Ordinal));
            return names.Set;
        }
    }

    public IReadOnlyCollection<WebhookSubscription> Subscriptions => _subscriptions.Items;

    public IReadOnlyCollection<WebhookSecret> WebhookSecrets => _webhookSecrets.Items;

    public bool TryGetSubscription(string @namespace, string name, [NotNullWhen(true)] out WebhookSubscription? subscription) =>
        _subscriptions.TryGet(@namespace, name, out subscription);

    public bool TryGetWebhookSecret(string @namespace, string name, [NotNullWhen(true)] out WebhookSecret? secret) =>
        _webhookSecrets.TryGet(@namespace, name, out secret);

    public async ValueTask<V1Secret?> GetSecretAsync(string @namespace, string name, CancellationToken cancellation)
    {
        var key = new ObjectName(@namespace, name);
        _secrets.TryGet(@namespace, name, out var watched);
        return _saved.Newer(key, watched) ?? await _polled.GetAsync(key, cancellation);
    }

    public async Task SaveSecretAsync(V1Secret secret, V1Secret? before, CancellationToken cancellation)
    {
        var name = ObjectName.Of(secret);
        Fence();
        try
        {
            var saved = before is null
                ? await SendAsync(HttpMethod.Post, Kinds.Secrets.Path(name.Namespace), secret)
                : await SendAsync(HttpMethod.Put, Kinds.Secrets.Path(name), Over(before, secret));
            _saved.Put(saved);
            _polled.Forget(name);
            Changed?.Invoke(new ResourceKey(V1Secret.KubeKind, name.Namespace, name.Name));
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.Conflict)
        {
            _polled.Forget(name);
            throw new ResourceConflictException($"The Secret {name} has changed since it was read.", e);
        }

        Task<V1Secret> SendAsync(HttpMethod method, string path, V1Secret body) => _calls.SendAsync<V1Secret>(
            method, $"{path}?fieldManager={Uri.EscapeDataString(ControllerManager)}", KubeJson.Write(body), ApiCalls.Json, LeaderCallLimit, cancellation);
    }

    public Task SaveStatusAsync(
        ResourceKey key, string uid, StatusWriter writer, WebhookSubscriptionStatus part, CancellationToken cancellation) =>
        writer == StatusWriter.Controller
            ? ApplyAsLeaderAsync(Kinds.Subscriptions, key, uid, part, cancellation)
            : _applier.ApplyStatusAsync(Kinds.Subscriptions, new ObjectName(key.Namespace, key.Name), uid, part, DeliveryManager, cancellation: cancellation);

    public Task SaveStatusAsync(ResourceKey key, string uid, WebhookSecretStatus status, CancellationToken cancellation) =>
        ApplyAsLeaderAsync(Kinds.WebhookSecrets, key, uid, status, cancellation);

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task[] runs = [.. _watches.Select(watch => watch.RunAsync(stop.Token)), _polled.RunAsync(stop.Token)];
        // None ends by itself: where one does, all do, and the fault is told.
        await Task.WhenAny(runs);
        await stop.CancelAsync();
        await Task.WhenAll(runs);
    }

    private void Tell(string kind, ObjectName name) => Changed?.Invoke(new ResourceKey(kind, name.Namespace, name.Name));

    private async Task ApplyAsLeaderAsync<T>(KubeResource resource, ResourceKey key, string uid, T status, CancellationToken cancellation)
    {
        Fence();
        using var limit = new CancellationTokenSource(LeaderCallLimit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, limit.Token);
        await _applier.ApplyStatusAsync(
            resource, new ObjectName(key.Namespace, key.Name), uid, status, ControllerManager, cancellation: either.Token);
    }

    private void Fence()
    {
        if (!_leads())
            throw new LeadershipLostException();
    }

    private async Task<V1Secret?> ReadSecretAsync(ObjectName name, CancellationToken cancellation)
    {
        try
        {
            return Untracked(await _calls.SendAsync<V1Secret>(HttpMethod.Get, Kinds.Secrets.Path(name), null, null, CallLimit, cancellation));
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    /// <summary>What the operator wants, over what others have put on the same object.</summary>
    private static V1Secret Over(V1Secret before, V1Secret secret) => new()
    {
        ApiVersion = secret.ApiVersion,
        Kind = secret.Kind,
        Type = before.Type,
        Data = secret.Data,
        Metadata = new V1ObjectMeta
        {
            Name = secret.Metadata.Name,
            NamespaceProperty = secret.Metadata.NamespaceProperty,
            Uid = before.Metadata.Uid,
            ResourceVersion = before.Metadata.ResourceVersion,
            Finalizers = before.Metadata.Finalizers,
            OwnerReferences = secret.Metadata.OwnerReferences,
            Labels = Merged(before.Metadata.Labels, secret.Metadata.Labels),
            Annotations = Merged(
                // Times of keys that are no longer there.
                before.Metadata.Annotations?.Where(entry => !entry.Key.StartsWith(ApiGroup.Name + "/", StringComparison.Ordinal)),
                secret.Metadata.Annotations),
        },
    };

    private static Dictionary<string, string> Merged(
        IEnumerable<KeyValuePair<string, string>>? before, IEnumerable<KeyValuePair<string, string>>? own)
    {
        var merged = new Dictionary<string, string>(before ?? []);
        foreach (var (key, value) in own ?? [])
            merged[key] = value;
        return merged;
    }

    /// <summary>The object in the cache, if its spec is the same.</summary>
    private static T? Known<T>(ObjectCache<T> cache, T item) where T : class, IKubernetesObject<V1ObjectMeta> =>
        cache.TryGet(item.Metadata.NamespaceProperty, item.Metadata.Name, out var known)
        && known.Metadata.Uid == item.Metadata.Uid && known.Metadata.Generation == item.Metadata.Generation ? known : null;

    /// <summary>Without the record of who set which field: as large as the rest, and never read here.</summary>
    private static T Untracked<T>(T item) where T : IKubernetesObject<V1ObjectMeta>
    {
        item.Metadata.ManagedFields = null;
        return item;
    }

    private static V1Namespace NameOnly(V1Namespace item) => new()
    {
        Metadata = new V1ObjectMeta { Name = item.Metadata.Name, Uid = item.Metadata.Uid, ResourceVersion = item.Metadata.ResourceVersion },
    };

    /// <param name="Of">The objects that the names are of.</param>
    private sealed record NameSet(IReadOnlyCollection<V1Namespace>? Of, FrozenSet<string> Set);
}
