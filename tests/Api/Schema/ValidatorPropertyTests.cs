using CsCheck;
using WebhookOperator.Tests.Testing;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Tests.Api.Schema;

public sealed class ValidatorPropertyTests
{
    private static readonly string[] Seeds =
        [.. new[] { "config/samples", "tests/Golden/BadManifests" }
            .SelectMany(d => Directory.EnumerateFiles(Path.Combine(Repository.Root, d), "*.yaml", SearchOption.AllDirectories))
            .Order(StringComparer.Ordinal)
            .Select(File.ReadAllText)];

    private static readonly string[] Scraps =
    [
        "~", "[]", "{}", "yes", "0x", "1e9", "-", "99999999999999999999", "!!str", "!!int x", "&a", "*a", "? [a]", "\"\\0\"",
        ": ", "\n", "  ", "- ", "[[", "{a: b}", "'", "|", "\n---\n", "é", "\u0085", "<<: *a", "#", ".nan", "null:",
    ];

    /// <summary>Where a piece is replaced, as shares of the text, and by what.</summary>
    private static readonly Gen<(double At, int Length, int Scrap)> Edit =
        Gen.Select(Gen.Double[0, 1], Gen.Int[0, 12], Gen.Int[0, Scraps.Length - 1]);

    [Fact]
    public void Any_text_is_judged_without_an_exception() =>
        Gen.Select(Gen.Int[0, Seeds.Length - 1], Edit.Array[0, 6]).Sample((seed, edits) =>
        {
            var text = edits.Aggregate(Seeds[seed], (t, e) =>
            {
                var at = (int)(e.At * t.Length);
                return t[..at] + Scraps[e.Scrap] + t[Math.Min(t.Length, at + e.Length)..];
            });
            if (!IsYaml(text))
                return;
            var lines = text.Split('\n', '\u0085').Length;
            foreach (var manifest in Manifest.Parse(text))
            {
                Assert.NotNull(manifest.Json);
                // Without findings of the structure this reads the object into its types, too.
                Assert.All(manifest.Findings(), f => Assert.InRange(f.Line, 1, lines + 1));
            }
        }, iter: 5_000);

    /// <summary>YamlDotNet refuses text with exceptions of several types, not only its own.</summary>
    private static bool IsYaml(string text)
    {
        try
        {
            new YamlStream().Load(new StringReader(text));
            return true;
        }
        catch (Exception)
        {
            return false;
        }
    }
}
