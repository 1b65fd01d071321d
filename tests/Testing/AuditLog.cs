using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Testing;

/// <summary>A request as the API server saw it.</summary>
/// <param name="User">Such as <c>system:serviceaccount:NAMESPACE:NAME</c>.</param>
/// <param name="Verb">As RBAC names it: get, list, watch, create, update, patch, delete.</param>
/// <param name="Group">The API group; empty for the core.</param>
/// <param name="Resource">In the plural, with a subresource as <c>resource/subresource</c>.</param>
/// <param name="Namespace">Empty for a resource of the cluster, or a request over all namespaces.</param>
/// <param name="Name">Empty if the request names no object.</param>
/// <param name="Allowed">Whether RBAC let it pass.</param>
/// <param name="Status">The status code of the answer.</param>
internal sealed record AuditedRequest(
    string User, string Verb, string Group, string Resource, string Namespace, string Name, bool Allowed, int Status);

/// <summary>What ServiceAccounts asked of an API server, from its audit log.</summary>
internal sealed class AuditLog(string file)
{
    /// <summary>One line for each request of a ServiceAccount, at its end, or for a watch at its start.</summary>
    public const string Policy = """
        apiVersion: audit.k8s.io/v1
        kind: Policy
        omitStages: [RequestReceived]
        rules:
        - level: Metadata
          userGroups: ["system:serviceaccounts"]
        - level: None
        """;

    /// <summary>The requests for resources; what any authenticated user may do, such as discovery, is left out.</summary>
    public IReadOnlyList<AuditedRequest> RequestsOf(string @namespace, string account)
    {
        var user = $"system:serviceaccount:{@namespace}:{account}";
        return [.. Read().Where(request => request.User == user)];
    }

    private IEnumerable<AuditedRequest> Read()
    {
        if (!File.Exists(file))
            return [];
        using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        var text = reader.ReadToEnd();
        // The last line may be half written.
        return text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(Parse).OfType<AuditedRequest>();
    }

    private static AuditedRequest? Parse(string line)
    {
        var json = JsonNode.Parse(line)!;
        if (json["objectRef"] is not JsonObject target || (string?)json["user"]!["username"] is not { } user)
            return null;
        var subresource = (string?)target["subresource"] is { } sub ? $"/{sub}" : "";
        return new AuditedRequest(
            user,
            (string)json["verb"]!,
            (string?)target["apiGroup"] ?? "",
            (string)target["resource"]! + subresource,
            (string?)target["namespace"] ?? "",
            (string?)target["name"] ?? "",
            (string?)json["annotations"]?["authorization.k8s.io/decision"] != "forbid",
            (int?)json["responseStatus"]?["code"] ?? 0);
    }
}
