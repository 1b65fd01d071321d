using k8s;
using k8s.Authentication;
using k8s.KubeConfigModels;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Kube;

/// <summary>
/// Reads kubeconfig files as kubectl does: several are merged, the first that says something wins, paths are relative to
/// the file that they stand in, and a user may have a <c>tokenFile</c>, which KubernetesClient does not know.
/// </summary>
internal static class Kubeconfig
{
    /// <summary>The configuration of the current context.</summary>
    /// <param name="files">Those that do not exist are passed over, unless none does.</param>
    /// <exception cref="FileNotFoundException">None exists.</exception>
    public static KubernetesClientConfiguration Load(IReadOnlyList<string> files)
    {
        string[] there = [.. files.Where(File.Exists)];
        if (there.Length == 0)
            throw new FileNotFoundException($"no such file: {string.Join(", ", files)}");
        var merged = new K8SConfiguration();
        var tokenFiles = new Dictionary<string, string>();
        foreach (var file in there)
            Merge(merged, file, tokenFiles);

        var context = merged.Contexts.FirstOrDefault(context => context.Name == merged.CurrentContext);
        var tokenFile = context?.ContextDetails?.User is { } user ? tokenFiles.GetValueOrDefault(user) : null;
        var configuration = KubernetesClientConfiguration.BuildConfigFromConfigObject(merged);
        if (tokenFile is not null)
        {
            configuration.AccessToken = null;
            configuration.TokenProvider = new TokenFileAuth(tokenFile);
        }
        return configuration;
    }

    private static void Merge(K8SConfiguration merged, string file, Dictionary<string, string> tokenFiles)
    {
        var text = File.ReadAllText(file);
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        var one = KubernetesYaml.Deserialize<K8SConfiguration>(text);
        foreach (var cluster in one.Clusters.Select(cluster => cluster.ClusterEndpoint).OfType<ClusterEndpoint>())
            cluster.CertificateAuthority = Absolute(cluster.CertificateAuthority);
        foreach (var user in one.Users.Select(user => user.UserCredentials).OfType<UserCredentials>())
        {
            user.ClientCertificate = Absolute(user.ClientCertificate);
            user.ClientKey = Absolute(user.ClientKey);
        }
        foreach (var (name, path) in TokenFiles(text))
        {
            // The client takes a user for one without credentials otherwise.
            if (merged.Users.All(user => user.Name != name) && one.Users.First(user => user.Name == name).UserCredentials is { } user)
            {
                user.Token = "in a file";
                tokenFiles[name] = Absolute(path)!;
            }
        }
        merged.CurrentContext ??= one.CurrentContext;
        merged.Clusters = First(merged.Clusters, one.Clusters, cluster => cluster.Name);
        merged.Users = First(merged.Users, one.Users, user => user.Name);
        merged.Contexts = First(merged.Contexts, one.Contexts, context => context.Name);

        string? Absolute(string? path) => string.IsNullOrEmpty(path) ? path : Path.Combine(folder, path);
    }

    private static T[] First<T>(IEnumerable<T> before, IEnumerable<T> more, Func<T, string> name) =>
        [.. before.Concat(more ?? []).DistinctBy(name)];

    private static IEnumerable<(string User, string Path)> TokenFiles(string yaml)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(yaml));
        if (stream.Documents is not [{ RootNode: YamlMappingNode root }, ..] || Child(root, "users") is not YamlSequenceNode users)
            yield break;
        foreach (var user in users.OfType<YamlMappingNode>())
        {
            if (Child(user, "name") is YamlScalarNode { Value: { } name } && Child(user, "user") is YamlMappingNode credentials
                && Child(credentials, "tokenFile") is YamlScalarNode { Value: { Length: > 0 } path })
                yield return (name, path);
        }
    }

    private static YamlNode? Child(YamlMappingNode node, string key) =>
        node.Children.TryGetValue(new YamlScalarNode(key), out var child) ? child : null;
}
