using System.Collections.Immutable;
using System.Text.Json;
using k8s;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Local;

/// <summary>An object in force, with the metadata that an API server would have assigned.</summary>
/// <param name="File">The manifest that it came from, relative to the folder.</param>
/// <param name="Resource">A <see cref="WebhookSubscription"/>, <see cref="WebhookSecret"/> or <see cref="V1Secret"/>.</param>
internal sealed record SavedObject(string File, IKubernetesObject<V1ObjectMeta> Resource);

/// <summary>What is to change, all or nothing.</summary>
/// <param name="Objects">Null removes the object, and with it the Secrets that it owns.</param>
/// <param name="OwnedSecrets">Secrets that the operator made, to create or replace.</param>
internal sealed record StateChange(
    IReadOnlyCollection<KeyValuePair<ResourceKey, SavedObject?>> Objects, IReadOnlyCollection<V1Secret> OwnedSecrets);

/// <summary>
/// What an API server would keep, in one JSON file that is replaced whole: every object in force with its uid,
/// generation and creation time, and the Secrets that the operator made. So a manifest that is broken at the
/// start leaves its last good version in force, and pending deliveries find their subscription again.
/// The file holds keys and is readable by its owner alone.
/// </summary>
internal sealed class LocalState : IDisposable
{
    private const int FormatVersion = 1;

    private readonly string _path;
    private readonly SemaphoreSlim _writer = new(1, 1);
    private readonly Lock _gate = new();
    private List<StateChange> _pending = [];
    private Task? _nextWrite;
    private volatile Snapshot _current;

    private LocalState(string path, Snapshot current)
    {
        _path = path;
        _current = current;
    }

    public IReadOnlyDictionary<ResourceKey, SavedObject> Objects => _current.Objects;

    /// <summary>Null if the operator has made no Secret of that name.</summary>
    public V1Secret? OwnedSecret(string @namespace, string name) =>
        _current.OwnedSecrets.GetValueOrDefault(new ResourceKey(V1Secret.KubeKind, @namespace, name));

    /// <summary>Reads the file, or starts empty where there is none.</summary>
    /// <exception cref="StoreOpenException">The file can't be read or is not such a state.</exception>
    public static LocalState Open(string path)
    {
        try
        {
            if (!File.Exists(path))
                return new LocalState(path, new Snapshot([], []));
            using var file = File.OpenRead(path);
            using var json = JsonDocument.Parse(file);
            return new LocalState(path, Read(path, json.RootElement));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new StoreOpenException(
                $"The resource state {path} is damaged ({e.Message}). It holds the identities of the resources and the "
                + "generated signing keys. Restore it from a backup; or, to start afresh, move it away: then every "
                + "subscription counts as new, its pending deliveries are cancelled, and keys are generated anew.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StoreOpenException($"The resource state {path} can't be read: {e.Message}", e);
        }
    }

    /// <summary>
    /// Makes a change durable, then visible here. Changes that come at once share one write; they succeed or
    /// fail together.
    /// </summary>
    /// <exception cref="IOException">The file can't be written; nothing was changed.</exception>
    /// <exception cref="UnauthorizedAccessException">As above.</exception>
    public Task CommitAsync(StateChange change)
    {
        lock (_gate)
        {
            _pending.Add(change);
            return _nextWrite ??= WriteNextAsync();
        }
    }

    public void Dispose() => _writer.Dispose();

    private async Task WriteNextAsync()
    {
        // The caller holds the gate and has yet to note this task.
        await Task.Yield();
        await _writer.WaitAsync();
        try
        {
            List<StateChange> changes;
            lock (_gate)
            {
                changes = _pending;
                _pending = [];
                _nextWrite = null;
            }
            var next = _current.With(changes);
            Write(next);
            _current = next;
        }
        finally
        {
            _writer.Release();
        }
    }

    private static Snapshot Read(string path, JsonElement root)
    {
        var version = root.GetProperty("version").GetInt32();
        if (version != FormatVersion)
        {
            throw new StoreOpenException(
                $"The resource state {path} has format {version}, and this version of the program reads format {FormatVersion}: "
                + "run the version that wrote it, or a newer one.");
        }
        var objects = new Dictionary<ResourceKey, SavedObject>();
        foreach (var entry in root.GetProperty("objects").EnumerateArray())
        {
            var resource = Deserialize(entry.GetProperty("resource"));
            objects[KeyOf(resource)] = new SavedObject(entry.GetProperty("file").GetString() ?? "", resource);
        }
        var secrets = new Dictionary<ResourceKey, V1Secret>();
        foreach (var entry in root.GetProperty("ownedSecrets").EnumerateArray())
        {
            var secret = KubernetesJson.Deserialize<V1Secret>(entry);
            secrets[KeyOf(secret)] = secret;
        }
        return new Snapshot(objects, secrets);
    }

    private static IKubernetesObject<V1ObjectMeta> Deserialize(JsonElement element)
    {
        IKubernetesObject<V1ObjectMeta> resource = element.GetProperty("kind").GetString() switch
        {
            WebhookSubscription.KubeKind => KubernetesJson.Deserialize<WebhookSubscription>(element),
            WebhookSecret.KubeKind => KubernetesJson.Deserialize<WebhookSecret>(element),
            V1Secret.KubeKind => KubernetesJson.Deserialize<V1Secret>(element),
            var kind => throw new FormatException($"an object has the kind {kind}"),
        };
        return resource.Metadata is { Uid.Length: > 0, Name: not null, NamespaceProperty: not null }
            ? resource : throw new FormatException("an object has no uid or name");
    }

    private void Write(Snapshot snapshot)
    {
        var temporary = _path + ".tmp";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, BufferSize = 64 * 1024 };
        if (!OperatingSystem.IsWindows())
        {
            // The mode applies to a new file only; a left-over one could have another.
            File.Delete(temporary);
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }
        using (var file = new FileStream(temporary, options))
        {
            using (var json = new Utf8JsonWriter(file))
            {
                json.WriteStartObject();
                json.WriteNumber("version", FormatVersion);
                json.WriteStartArray("objects");
                foreach (var (_, saved) in snapshot.Objects)
                {
                    json.WriteStartObject();
                    json.WriteString("file", saved.File);
                    json.WritePropertyName("resource");
                    json.WriteRawValue(KubernetesJson.Serialize(saved.Resource), skipInputValidation: true);
                    json.WriteEndObject();
                    if (json.BytesPending > 64 * 1024)
                        json.Flush();
                }
                json.WriteEndArray();
                json.WriteStartArray("ownedSecrets");
                foreach (var (_, secret) in snapshot.OwnedSecrets)
                    json.WriteRawValue(KubernetesJson.Serialize(secret), skipInputValidation: true);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, _path, overwrite: true);
    }

    public static ResourceKey KeyOf(IKubernetesObject<V1ObjectMeta> resource) =>
        new(resource.Kind, resource.Metadata.NamespaceProperty, resource.Metadata.Name);

    private sealed record Snapshot(Dictionary<ResourceKey, SavedObject> Objects, Dictionary<ResourceKey, V1Secret> OwnedSecrets)
    {
        public Snapshot With(List<StateChange> changes)
        {
            var objects = new Dictionary<ResourceKey, SavedObject>(Objects);
            var secrets = new Dictionary<ResourceKey, V1Secret>(OwnedSecrets);
            foreach (var change in changes)
            {
                foreach (var (key, saved) in change.Objects)
                {
                    if (saved is not null)
                        objects[key] = saved;
                    else if (objects.Remove(key, out var removed))
                        RemoveOwnedBy(removed.Resource.Metadata.Uid, secrets);
                }
                foreach (var secret in change.OwnedSecrets)
                    secrets[KeyOf(secret)] = secret;
            }
            return new Snapshot(objects, secrets);
        }

        private static void RemoveOwnedBy(string uid, Dictionary<ResourceKey, V1Secret> secrets)
        {
            foreach (var (key, secret) in secrets)
            {
                if (secret.Metadata.OwnerReferences is { } owners && owners.Any(owner => owner.Uid == uid))
                    secrets.Remove(key);
            }
        }
    }
}
