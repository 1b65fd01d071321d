using System.Text.Json;

namespace WebhookOperator.Tests.Testing;

/// <summary>A body that GitHub sent, byte for byte as published.</summary>
/// <param name="EventName">Such as <c>push</c> or <c>pull_request</c>.</param>
internal sealed record GitHubPayload(string EventName, byte[] Body);

/// <summary>The hundreds of real webhook bodies in npm's <c>@octokit/webhooks-examples</c>.</summary>
internal static class GitHubPayloads
{
    private static readonly Lazy<Task<IReadOnlyList<GitHubPayload>>> Loaded = new(LoadAsync);

    /// <summary>All of them, in the package's order; read once.</summary>
    public static Task<IReadOnlyList<GitHubPayload>> AllAsync() => Loaded.Value;

    private static async Task<IReadOnlyList<GitHubPayload>> LoadAsync()
    {
        var folder = await NodePackages.PathOfAsync("@octokit/webhooks-examples");
        using var document = JsonDocument.Parse(await File.ReadAllBytesAsync(Path.Combine(folder, "api.github.com", "index.json")));
        return
        [
            .. from kind in document.RootElement.EnumerateArray()
               let name = kind.GetProperty("name").GetString()!
               from example in kind.GetProperty("examples").EnumerateArray()
               select new GitHubPayload(name, System.Text.Encoding.UTF8.GetBytes(example.GetRawText())),
        ];
    }
}
