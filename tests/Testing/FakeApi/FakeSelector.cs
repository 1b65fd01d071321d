using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace WebhookOperator.Tests.Testing.FakeApi;

/// <summary>A label selector of equalities: <c>a=b,c=d</c>.</summary>
internal sealed class FakeSelector(IReadOnlyList<(string Key, string Value)> terms)
{
    public static FakeSelector Of(IQueryCollection query) => new(
        [.. query["labelSelector"].ToString().Split(',', StringSplitOptions.RemoveEmptyEntries).Select(term => term.Split('=', 2)).Select(pair => (pair[0], pair[1]))]);

    public bool Matches(JsonObject? item) =>
        item is not null && terms.All(term => (string?)item["metadata"]!["labels"]?[term.Key] == term.Value);
}
