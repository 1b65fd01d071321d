using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using k8s;
using k8s.Models;
using WebhookOperator.Api;

namespace WebhookOperator.Local;

/// <summary>
/// A folder of manifests that stands in for the API server. Changes are in force within a second, also those of
/// editors that replace files and of mounted ConfigMaps. What is wrong is told in the log with its place; the
/// last good version stays in force meanwhile.
/// </summary>
internal sealed partial class ManifestFolder : IResourceSource
{
    /// <summary>The kind of the key that <see cref="Changed"/> gives where a namespace comes or goes.</summary>
    public const string NamespaceKind = "Namespace";

    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>For folders whose listing takes so long that polling would eat the machine; hints still come at once.</summary>
    private static readonly TimeSpan MaxPollInterval = TimeSpan.FromSeconds(5);

    /// <summary>While a file is being written, or an object may be about to reappear.</summary>
    private static readonly TimeSpan UnsettledInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// An object that no file names any more for so long is deleted. Editors and version control replace a file
    /// by removing it first, and a deletion would cancel the pending deliveries.
    /// </summary>
    private static readonly TimeSpan VanishGrace = TimeSpan.FromMilliseconds(300);

    private readonly string _folder;
    private readonly LocalState _state;
    private readonly TimeProvider _time;
    private readonly ILogger<ManifestFolder> _logger;
    private readonly FolderReader _reader;
    private readonly ManifestSet _set = new();
    private readonly HashSet<ResourceKey> _unapplied = [];
    private readonly Dictionary<ResourceKey, long> _vanishing = [];
    private readonly Dictionary<ResourceKey, ManifestFault> _refused = [];
    private HashSet<string> _told = new(StringComparer.Ordinal);

    private readonly ConcurrentDictionary<(string Namespace, string Name), WebhookSubscription> _subscriptions = new();
    private readonly ConcurrentDictionary<(string Namespace, string Name), WebhookSecret> _webhookSecrets = new();
    private readonly ConcurrentDictionary<(string Namespace, string Name), V1Secret> _secrets = new();
    private volatile FrozenSet<string> _namespaces = FrozenSet.Create(ManifestReader.DefaultNamespace);
    private volatile bool _synced;

    /// <param name="folder">Need not exist yet.</param>
    /// <param name="state">What was in force when the program last ran.</param>
    /// <param name="time">The real one: file times are compared with it.</param>
    /// <param name="logger">Where faults are told.</param>
    public ManifestFolder(string folder, LocalState state, TimeProvider time, ILogger<ManifestFolder> logger)
    {
        _folder = folder;
        _state = state;
        _time = time;
        _logger = logger;
        _reader = new FolderReader(folder, time);
        foreach (var (key, saved) in state.Objects)
        {
            _set.Seed(saved.File, Path.Combine(folder, saved.File), key, saved.Resource);
            Publish(key, saved.Resource);
        }
        _set.TakeTouched();
        _namespaces = NamespacesOf(state);
    }

    public event Action<ResourceKey>? Changed;

    public bool Synced => _synced;

    public IReadOnlySet<string> Namespaces => _namespaces;

    public IReadOnlyCollection<WebhookSubscription> Subscriptions => (IReadOnlyCollection<WebhookSubscription>)_subscriptions.Values;

    public IReadOnlyCollection<WebhookSecret> WebhookSecrets => (IReadOnlyCollection<WebhookSecret>)_webhookSecrets.Values;

    /// <summary>What is wrong in the folder as it was last read.</summary>
    public ImmutableArray<ManifestFault> Faults { get; private set => ImmutableInterlocked.InterlockedExchange(ref field, value); } = [];

    public bool TryGetSubscription(string @namespace, string name, [NotNullWhen(true)] out WebhookSubscription? subscription) =>
        _subscriptions.TryGetValue((@namespace, name), out subscription);

    public bool TryGetWebhookSecret(string @namespace, string name, [NotNullWhen(true)] out WebhookSecret? secret) =>
        _webhookSecrets.TryGetValue((@namespace, name), out secret);

    /// <summary>A Secret of a manifest comes before one of the same name that the operator made.</summary>
    public ValueTask<V1Secret?> GetSecretAsync(string @namespace, string name, CancellationToken cancellation) =>
        ValueTask.FromResult(_secrets.TryGetValue((@namespace, name), out var secret) ? secret : _state.OwnedSecret(@namespace, name));

    /// <summary>Nobody else writes them here.</summary>
    public async Task SaveSecretAsync(V1Secret secret, V1Secret? before, CancellationToken cancellation)
    {
        await _state.CommitAsync(new StateChange([], [secret]));
        Changed?.Invoke(LocalState.KeyOf(secret));
    }

    /// <summary>Kept in memory: it is found out anew after a restart.</summary>
    public Task SaveStatusAsync(
        ResourceKey key, string uid, StatusWriter writer, WebhookSubscriptionStatus part, CancellationToken cancellation)
    {
        Update(_subscriptions, key, subscription => subscription.Metadata.Uid != uid ? subscription
            : subscription with { Status = (subscription.Status ?? new WebhookSubscriptionStatus()).With(writer, part) });
        return Task.CompletedTask;
    }

    /// <inheritdoc cref="SaveStatusAsync(ResourceKey, string, StatusWriter, WebhookSubscriptionStatus, CancellationToken)"/>
    public Task SaveStatusAsync(ResourceKey key, string uid, WebhookSecretStatus status, CancellationToken cancellation)
    {
        Update(_webhookSecrets, key, secret => secret.Metadata.Uid == uid ? secret with { Status = status } : secret);
        return Task.CompletedTask;
    }

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var watch = new FolderWatch(_folder);
        if (watch.Fault is { } fault)
            NoWatch(_folder, fault);
        while (true)
        {
            TimeSpan wait;
            var start = _time.GetTimestamp();
            try
            {
                var settled = await PassAsync();
                var cost = _time.GetElapsedTime(start);
                wait = !settled ? UnsettledInterval : TimeSpan.FromTicks(Math.Clamp(cost.Ticks * 20, PollInterval.Ticks, MaxPollInterval.Ticks));
            }
            catch (Exception e) when (!cancellation.IsCancellationRequested)
            {
                PassFailed(e, _folder);
                wait = PollInterval;
            }
            await watch.WaitAsync(wait, _time, cancellation);
        }
    }

    /// <summary>Reads what changed and puts it in force.</summary>
    /// <returns>False if a file or object is still in motion, and so should be looked at again soon.</returns>
    private async Task<bool> PassAsync()
    {
        var reading = _reader.Read(_set);
        _unapplied.UnionWith(_set.TakeTouched());
        await ApplyAsync();
        TellFaults(reading);
        if (!_synced && reading.Settled)
        {
            _synced = true;
            // Also tells those who wait for the first sync of an empty folder.
            foreach (var name in _namespaces)
                Changed?.Invoke(new ResourceKey(NamespaceKind, "", name));
        }
        return reading.Settled && _unapplied.Count == 0;
    }

    private async Task ApplyAsync()
    {
        var now = _time.GetTimestamp();
        var changes = new List<KeyValuePair<ResourceKey, SavedObject?>>();
        var told = new List<ResourceKey>();
        var done = new List<ResourceKey>();
        foreach (var key in _unapplied)
        {
            var current = _state.Objects.GetValueOrDefault(key);
            _refused.Remove(key);
            if (_set.InForce(key) is { } claim)
            {
                _vanishing.Remove(key);
                if (Revision.Refusal(current, claim) is { } fault)
                    _refused[key] = fault;
                else if (Revision.Next(current, claim, _time.GetUtcNow(), out var changed) is { } saved)
                {
                    changes.Add(new(key, saved));
                    if (changed)
                        told.Add(key);
                }
                else
                {
                    claim.Resource = current!.Resource;
                }
            }
            else if (current is not null)
            {
                // What went while the program did not run has been gone long enough.
                if (_synced && _time.GetElapsedTime(_vanishing.TryAdd(key, now) ? now : _vanishing[key], now) < VanishGrace)
                    continue;
                _vanishing.Remove(key);
                changes.Add(new(key, null));
                told.Add(key);
            }
            done.Add(key);
        }
        if (changes.Count > 0)
            await CommitAsync(changes, told);
        _unapplied.ExceptWith(done);
    }

    /// <summary>Identities become durable before anyone sees them: deliveries are stored under the uid.</summary>
    private async Task CommitAsync(List<KeyValuePair<ResourceKey, SavedObject?>> changes, List<ResourceKey> told)
    {
        await _state.CommitAsync(new StateChange(changes, []));
        foreach (var (key, saved) in changes)
        {
            if (saved is not null && _set.InForce(key) is { } claim)
                claim.Resource = saved.Resource;
            Publish(key, saved?.Resource);
        }

        var before = _namespaces;
        _namespaces = NamespacesOf(_state);
        foreach (var key in told)
            Changed?.Invoke(key);
        foreach (var name in before.Except(_namespaces).Concat(_namespaces.Except(before)))
            Changed?.Invoke(new ResourceKey(NamespaceKind, "", name));
        Applied(told.Count, _folder);
    }

    private void TellFaults(FolderReading reading)
    {
        var faults = reading.Faults
            .Concat(_set.Files.SelectMany(_set.Conflicts))
            .Concat(_refused.Values)
            .OrderBy(fault => fault.File, StringComparer.Ordinal).ThenBy(fault => fault.Line).ThenBy(fault => fault.Column)
            .ToImmutableArray();
        var told = new HashSet<string>(StringComparer.Ordinal);
        foreach (var fault in faults)
        {
            var text = fault.ToString();
            // A file that changed and is still wrong is told again: its writer may think it mended.
            if (told.Add(text) && (!_told.Contains(text) || reading.Changed.Contains(fault.File)))
                Fault(text);
        }
        _told = told;
        foreach (var notice in reading.NewlyIgnored)
            Ignored(notice);
        Faults = faults;
    }

    private void Publish(ResourceKey key, IKubernetesObject<V1ObjectMeta>? resource)
    {
        var name = (key.Namespace, key.Name);
        switch (resource)
        {
            case WebhookSubscription subscription:
                _subscriptions.AddOrUpdate(name, subscription, (_, old) =>
                    subscription with { Status = old.Metadata.Uid == subscription.Metadata.Uid ? old.Status : null });
                break;
            case WebhookSecret secret:
                _webhookSecrets.AddOrUpdate(name, secret, (_, old) =>
                    secret with { Status = old.Metadata.Uid == secret.Metadata.Uid ? old.Status : null });
                break;
            case V1Secret secret:
                _secrets[name] = secret;
                break;
            case null when key.Kind == WebhookSubscription.KubeKind:
                _subscriptions.TryRemove(name, out _);
                break;
            case null when key.Kind == WebhookSecret.KubeKind:
                _webhookSecrets.TryRemove(name, out _);
                break;
            default:
                _secrets.TryRemove(name, out _);
                break;
        }
    }

    private static void Update<T>(ConcurrentDictionary<(string, string), T> objects, ResourceKey key, Func<T, T> change)
        where T : class
    {
        while (objects.TryGetValue((key.Namespace, key.Name), out var before))
        {
            if (objects.TryUpdate((key.Namespace, key.Name), change(before), before))
                return;
        }
    }

    private static FrozenSet<string> NamespacesOf(LocalState state) =>
        state.Objects.Keys.Select(key => key.Namespace).Append(ManifestReader.DefaultNamespace).ToFrozenSet(StringComparer.Ordinal);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Fault}")]
    private partial void Fault(string fault);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Notice}")]
    private partial void Ignored(ManifestFault notice);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} changes of resources from {Folder} are in force")]
    private partial void Applied(int count, string folder);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Changes in {Folder} are found by polling alone: {Fault}")]
    private partial void NoWatch(string folder, string fault);

    [LoggerMessage(Level = LogLevel.Error, Message = "Changes in {Folder} could not be put in force and will be tried again; what was in force stays")]
    private partial void PassFailed(Exception exception, string folder);
}
