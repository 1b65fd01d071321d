using System.Collections.Concurrent;
using System.Globalization;
using k8s.Models;
using WebhookOperator.Kube;

namespace WebhookOperator.Cluster;

/// <summary>
/// The Secrets that the operator wrote and that the watch has not told of yet: whoever reads what it wrote a
/// moment ago must not read what was there before, or a key would be rotated twice. For any thread.
/// </summary>
internal sealed class SavedSecrets(TimeProvider time)
{
    /// <summary>A watch that has not told of it after so long has missed it, and its list will know.</summary>
    private static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<ObjectName, (V1Secret Secret, long At)> _saved = new();

    public void Put(V1Secret secret) => _saved[ObjectName.Of(secret)] = (secret, time.GetTimestamp());

    /// <summary>The newer one of what was written and what is watched.</summary>
    public V1Secret? Newer(ObjectName name, V1Secret? watched)
    {
        if (!_saved.TryGetValue(name, out var saved))
            return watched;
        if (time.GetElapsedTime(saved.At) < Lifetime && (watched is null || Version(watched) < Version(saved.Secret)))
            return saved.Secret;
        _saved.TryRemove(KeyValuePair.Create(name, saved));
        return watched;
    }

    /// <summary>Resource versions of one kind can be compared as numbers, since a list and a watch could not be joined otherwise.</summary>
    private static ulong Version(V1Secret secret) =>
        ulong.TryParse(secret.Metadata.ResourceVersion, NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version : 0;
}
