namespace WebhookOperator.Tests.Testing;

/// <summary>
/// A part of a page that is written from the code, between <c>&lt;!-- generated --&gt;</c> and <c>&lt;!-- end --&gt;</c>.
/// With UPDATE_GOLDEN=1 in the environment it is written anew, to be looked over in the diff.
/// </summary>
internal static class GeneratedText
{
    private const string Begin = "<!-- generated -->\n";
    private const string End = "<!-- end -->\n";

    public static async Task AssertIsInAsync(string file, string text)
    {
        var path = Path.Combine(Repository.Root, file);
        var page = await File.ReadAllTextAsync(path);
        var start = page.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length;
        var end = page.IndexOf(End, StringComparison.Ordinal);
        Assert.True(start >= Begin.Length && end >= start, $"{file} has no lines {Begin.Trim()} and {End.Trim()}.");
        var wanted = $"\n{text.Trim()}\n\n";
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            await File.WriteAllTextAsync(path, page[..start] + wanted + page[end..]);
            return;
        }
        Assert.True(page[start..end] == wanted, $"{file} is not what the code says; run `make docs` and look at the diff.\n{wanted}");
    }
}
