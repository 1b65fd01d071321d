using System.Reflection;

namespace WebhookOperator.Api.Schema;

/// <summary>The CustomResourceDefinitions that this program was built with.</summary>
internal static class Crds
{
    private const string Prefix = "crds/";

    /// <summary>By file name.</summary>
    public static IReadOnlyList<(string FileName, string Yaml)> All { get; } = Load();

    private static List<(string FileName, string Yaml)> Load()
    {
        var assembly = Assembly.GetExecutingAssembly();
        var all = new List<(string FileName, string Yaml)>();
        foreach (var name in assembly.GetManifestResourceNames().Order(StringComparer.Ordinal))
        {
            if (!name.StartsWith(Prefix, StringComparison.Ordinal))
                continue;
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            all.Add((name[Prefix.Length..], reader.ReadToEnd()));
        }
        return all;
    }
}
