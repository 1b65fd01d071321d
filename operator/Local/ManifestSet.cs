using k8s;
using k8s.Models;
using WebhookOperator.Api;

namespace WebhookOperator.Local;

/// <summary>
/// What all files together say: which version of each object is in force, where a document is broken or two
/// files speak of one object. Pure bookkeeping, for one thread.
/// </summary>
internal sealed class ManifestSet
{
    private readonly Dictionary<string, Dictionary<ResourceKey, Claim>> _files = new(StringComparer.Ordinal);

    /// <summary>For each object the files that speak of it; the first is in force.</summary>
    private readonly Dictionary<ResourceKey, List<Claim>> _claims = [];

    private readonly HashSet<ResourceKey> _touched = [];

    public IReadOnlyCollection<string> Files => _files.Keys;

    /// <summary>The objects whose version in force may have changed since the last call.</summary>
    public IReadOnlyCollection<ResourceKey> TakeTouched()
    {
        ResourceKey[] touched = [.. _touched];
        _touched.Clear();
        return touched;
    }

    /// <summary>Null where no file speaks of the object.</summary>
    public Claim? InForce(ResourceKey key) => _claims.TryGetValue(key, out var claims) ? claims[0] : null;

    /// <summary>One for each claim on an object that another file holds.</summary>
    public IEnumerable<ManifestFault> Conflicts(string file)
    {
        if (!_files.TryGetValue(file, out var claims))
            yield break;
        foreach (var claim in claims.Values)
        {
            var owner = _claims[claim.Key][0];
            if (owner != claim)
            {
                yield return new ManifestFault(claim.DisplayFile, claim.Line, 1, "metadata.name",
                    $"{claim.Key} is in {owner.DisplayFile}:{owner.Line} already, which stays in force: remove one");
            }
        }
    }

    /// <summary>Takes an object as the last good version of a file that has not been read yet.</summary>
    public void Seed(string file, string displayFile, ResourceKey key, IKubernetesObject<V1ObjectMeta> resource) =>
        Put(ClaimsOf(file), new Claim(key, file, displayFile, 1, resource));

    /// <summary>
    /// Takes what the file says now. The last good versions of its broken documents stay, and all of them where
    /// it can't be told what it speaks of.
    /// </summary>
    public void Replace(string file, ManifestContents contents)
    {
        var claims = ClaimsOf(file);
        var said = new HashSet<ResourceKey>();
        foreach (var item in contents.Objects)
        {
            said.Add(item.Key);
            Put(claims, new Claim(item.Key, file, item.File, item.Line, item.Resource));
        }
        if (contents.Incomplete)
            return;
        foreach (var claim in claims.Values.Where(claim => !said.Contains(claim.Key) && !contents.Broken.Contains(claim.Key)).ToList())
            Drop(claims, claim);
    }

    public void Remove(string file)
    {
        if (!_files.Remove(file, out var claims))
            return;
        foreach (var claim in claims.Values.ToList())
            Drop(claims, claim);
    }

    private Dictionary<ResourceKey, Claim> ClaimsOf(string file)
    {
        if (!_files.TryGetValue(file, out var claims))
            _files[file] = claims = [];
        return claims;
    }

    private void Put(Dictionary<ResourceKey, Claim> ofFile, Claim claim)
    {
        if (!_claims.TryGetValue(claim.Key, out var ofKey))
            _claims[claim.Key] = ofKey = new List<Claim>(1);
        if (ofFile.TryGetValue(claim.Key, out var before))
            ofKey[ofKey.IndexOf(before)] = claim;
        else
            ofKey.Add(claim);
        ofFile[claim.Key] = claim;
        _touched.Add(claim.Key);
    }

    private void Drop(Dictionary<ResourceKey, Claim> ofFile, Claim claim)
    {
        ofFile.Remove(claim.Key);
        var ofKey = _claims[claim.Key];
        ofKey.Remove(claim);
        if (ofKey.Count == 0)
            _claims.Remove(claim.Key);
        _touched.Add(claim.Key);
    }

    /// <summary>A file's version of an object; compared by reference.</summary>
    internal sealed class Claim(
        ResourceKey key, string file, string displayFile, int line, IKubernetesObject<V1ObjectMeta> resource)
    {
        public ResourceKey Key => key;
        public string File => file;
        public string DisplayFile => displayFile;
        public int Line => line;

        /// <summary>Once in force, the object that is in force, so that there is one copy of it.</summary>
        public IKubernetesObject<V1ObjectMeta> Resource { get; set; } = resource;
    }
}
