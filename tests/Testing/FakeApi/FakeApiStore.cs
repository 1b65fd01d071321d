using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Testing.FakeApi;

/// <summary>One write, as watches tell of it. The objects are never changed after.</summary>
/// <param name="Before">Null for one that is new.</param>
/// <param name="After">Null for one that is gone.</param>
internal sealed record FakeChange(long Version, string Collection, string Namespace, JsonObject? Before, JsonObject? After);

/// <summary>The answer that Kubernetes gives instead of an object.</summary>
internal sealed class FakeStatusException(int code, string reason, string message, params string[] causes) : Exception(message)
{
    public int Code { get; } = code;

    public string Reason { get; } = reason;

    public IReadOnlyList<string> Causes { get; } = causes;
}

/// <summary>
/// The objects of a fake API server, their history, and the rules of writing: resourceVersions, preconditions,
/// generations, finalizers, the status subresource. Thread-safe.
/// </summary>
internal sealed class FakeApiStore
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ImmutableSortedDictionary<(string Namespace, string Name), JsonObject>> _collections = [];
    private readonly List<FakeChange> _history = [];
    private readonly FakeFieldManagers _managers = new();
    private long _version = 1000;
    private long _compacted = 1000;
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public long Version
    {
        get
        {
            lock (_gate)
                return _version;
        }
    }

    /// <summary>The collections that are served: <c>group/version/plural</c>, group empty for the core.</summary>
    public void Serve(string collection)
    {
        lock (_gate)
            _collections.TryAdd(collection, ImmutableSortedDictionary<(string, string), JsonObject>.Empty);
    }

    public bool Serves(string collection)
    {
        lock (_gate)
            return _collections.ContainsKey(collection);
    }

    /// <summary>Everything of it is gone too, and no watch tells so.</summary>
    public void Unserve(string collection)
    {
        lock (_gate)
            _collections.Remove(collection);
    }

    public (long Version, IReadOnlyList<JsonObject> Items) List(string collection, string? @namespace)
    {
        lock (_gate)
            return (_version, [.. _collections[collection].Where(e => @namespace is null || e.Key.Namespace == @namespace).Select(e => e.Value)]);
    }

    public JsonObject Get(string collection, string @namespace, string name)
    {
        lock (_gate)
            return Find(collection, @namespace, name) ?? throw NotFound(collection, name);
    }

    /// <summary>What has happened since, and a task that completes when more has; null if the history does not go back so far.</summary>
    public (IReadOnlyList<FakeChange> Changes, Task More)? Since(long version)
    {
        lock (_gate)
        {
            if (version < _compacted)
                return null;
            var first = _history.Count;
            while (first > 0 && _history[first - 1].Version > version)
                first--;
            return ([.. _history.Skip(first)], _more.Task);
        }
    }

    /// <summary>Forgets the history: whoever has not seen it all must list again.</summary>
    public void Compact()
    {
        lock (_gate)
        {
            // The world has gone on since whatever was last seen.
            _compacted = ++_version;
            _history.Clear();
        }
    }

    public JsonObject Create(string collection, string @namespace, JsonObject item)
    {
        lock (_gate)
        {
            item = (JsonObject)item.DeepClone();
            var metadata = item["metadata"] as JsonObject ?? throw new FakeStatusException(422, "Invalid", "metadata: Required value");
            if (metadata["name"] is null && metadata["generateName"] is { } prefix)
                metadata["name"] = $"{prefix}{_version:x}";
            var name = (string?)metadata["name"] ?? throw new FakeStatusException(422, "Invalid", "metadata.name: Required value");
            if (Find(collection, @namespace, name) is not null)
                throw new FakeStatusException(409, "AlreadyExists", $"{collection} \"{name}\" already exists");
            if (metadata["resourceVersion"] is not null)
                throw new FakeStatusException(400, "BadRequest", "resourceVersion should not be set on objects to be created");
            if (@namespace.Length > 0)
                metadata["namespace"] = @namespace;
            metadata["uid"] = Guid.NewGuid().ToString();
            metadata["generation"] = 1;
            metadata["creationTimestamp"] = TimeProvider.System.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
            return Write(collection, @namespace, name, null, item);
        }
    }

    /// <summary>PUT of an object or of its status; refused if it names another resourceVersion or uid than is there.</summary>
    public JsonObject Replace(string collection, string @namespace, string name, JsonObject item, bool status)
    {
        lock (_gate)
        {
            var before = Get(collection, @namespace, name);
            foreach (var precondition in new[] { "resourceVersion", "uid" })
            {
                if (item["metadata"]?[precondition] is { } wanted && (string)wanted! != (string)before["metadata"]![precondition]!)
                    throw Modified(collection, name);
            }
            var after = (JsonObject)(status ? before : item).DeepClone();
            if (status)
                after["status"] = item["status"]?.DeepClone();
            else
                KeepWhatIsNotTheWriters(before, after);
            return WriteChanged(collection, @namespace, name, before, after);
        }
    }

    /// <summary>RFC 7386.</summary>
    public JsonObject MergePatch(string collection, string @namespace, string name, JsonObject patch, bool status)
    {
        lock (_gate)
        {
            var before = Get(collection, @namespace, name);
            var after = (JsonObject)before.DeepClone();
            Merge(after, patch);
            return Replace(collection, @namespace, name, after, status);
        }
    }

    /// <summary>Server-side apply.</summary>
    public JsonObject Apply(string collection, string @namespace, string name, JsonObject patch, string manager, bool force, bool status)
    {
        lock (_gate)
        {
            var before = Find(collection, @namespace, name);
            // Of the preconditions, a real one looks at the version only when it is a status that is applied.
            if (before is not null && patch["metadata"]?["resourceVersion"] is { } version && (string)version! != (string)before["metadata"]!["resourceVersion"]!)
                throw Modified(collection, name);
            if (before is null)
            {
                if (status)
                    throw NotFound(collection, name);
                var created = Create(collection, @namespace, patch);
                _managers.Apply(created, (JsonObject)created.DeepClone(), patch, manager, force, "spec");
                return created;
            }
            var after = (JsonObject)before.DeepClone();
            _managers.Apply(before, after, patch, manager, force, status ? "status" : "spec");
            return WriteChanged(collection, @namespace, name, before, after);
        }
    }

    public JsonObject Delete(string collection, string @namespace, string name)
    {
        lock (_gate)
        {
            var before = Get(collection, @namespace, name);
            if (before["metadata"]!["finalizers"] is not JsonArray { Count: > 0 })
                return Write(collection, @namespace, name, before, null);
            var after = (JsonObject)before.DeepClone();
            after["metadata"]!["deletionTimestamp"] ??= TimeProvider.System.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
            return WriteChanged(collection, @namespace, name, before, after);
        }
    }

    private JsonObject? Find(string collection, string @namespace, string name) => _collections[collection].GetValueOrDefault((@namespace, name));

    private JsonObject WriteChanged(string collection, string @namespace, string name, JsonObject before, JsonObject after)
    {
        // As with the real one, a write that changes nothing is none.
        if (JsonNode.DeepEquals(before, after))
            return before;
        if (!JsonNode.DeepEquals(before["spec"], after["spec"]))
            after["metadata"]!["generation"] = before["metadata"]!["generation"]!.GetValue<int>() + 1;
        var gone = after["metadata"]!["deletionTimestamp"] is not null && after["metadata"]!["finalizers"] is not JsonArray { Count: > 0 };
        return Write(collection, @namespace, name, before, gone ? null : after);
    }

    private JsonObject Write(string collection, string @namespace, string name, JsonObject? before, JsonObject? after)
    {
        _version++;
        if (after is null)
        {
            _collections[collection] = _collections[collection].Remove((@namespace, name));
            // A deletion tells the last state, with the version of its own.
            before = (JsonObject)before!.DeepClone();
            before["metadata"]!["resourceVersion"] = _version.ToString(CultureInfo.InvariantCulture);
        }
        else
        {
            after["metadata"]!["resourceVersion"] = _version.ToString(CultureInfo.InvariantCulture);
            _collections[collection] = _collections[collection].SetItem((@namespace, name), after);
        }
        _history.Add(new FakeChange(_version, collection, @namespace, before, after));
        TaskCompletionSource more;
        (more, _more) = (_more, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        more.SetResult();
        return after ?? before!;
    }

    private static void KeepWhatIsNotTheWriters(JsonObject before, JsonObject after)
    {
        if (before["status"] is { } status)
            after["status"] = status.DeepClone();
        foreach (var field in new[] { "uid", "creationTimestamp", "generation", "resourceVersion", "namespace" })
            after["metadata"]![field] = before["metadata"]![field]?.DeepClone();
    }

    private static void Merge(JsonObject target, JsonObject patch)
    {
        foreach (var (key, value) in patch)
        {
            if (value is null)
                target.Remove(key);
            else if (value is JsonObject inner && target[key] is JsonObject existing)
                Merge(existing, inner);
            else
                target[key] = value.DeepClone();
        }
    }

    private static FakeStatusException NotFound(string collection, string name) =>
        new(404, "NotFound", $"{collection} \"{name}\" not found");

    private static FakeStatusException Modified(string collection, string name) =>
        new(409, "Conflict", $"Operation cannot be fulfilled on {collection} \"{name}\": the object has been modified; please apply your changes to the latest version and try again");
}
