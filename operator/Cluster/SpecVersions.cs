using System.Collections.Concurrent;
using k8s;
using k8s.Models;
using WebhookOperator.Kube;

namespace WebhookOperator.Cluster;

/// <summary>
/// Tells a change of spec from one of status alone: most changes that the watch tells of are the operator's own
/// writes of status, from which nothing follows. For any thread, but one name at a time.
/// </summary>
internal sealed class SpecVersions
{
    private readonly ConcurrentDictionary<ObjectName, (string? Uid, long? Generation, bool Deleting)> _seen = new();

    /// <summary>True if something may follow from the change, which the cache has already.</summary>
    public bool IsNew<T>(ObjectName name, ObjectCache<T> cache) where T : class, IKubernetesObject<V1ObjectMeta>
    {
        if (!cache.TryGet(name.Namespace, name.Name, out var item))
        {
            _seen.TryRemove(name, out _);
            return true;
        }
        var version = (item.Metadata.Uid, item.Metadata.Generation, item.Metadata.DeletionTimestamp is not null);
        var known = _seen.TryGetValue(name, out var seen) && seen == version;
        _seen[name] = version;
        return !known;
    }
}
