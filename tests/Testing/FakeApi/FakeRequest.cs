using Microsoft.AspNetCore.Http;

namespace WebhookOperator.Tests.Testing.FakeApi;

/// <summary>A request to a fake API server, in the terms of RBAC.</summary>
/// <param name="Verb">get, list, watch, create, update, patch or delete.</param>
/// <param name="Collection"><c>group/version/plural</c>.</param>
/// <param name="Namespace">Empty for none or all.</param>
/// <param name="Name">Null for a collection.</param>
/// <param name="Token">Of the bearer; null if none came.</param>
internal sealed record FakeRequest(
    string Verb, string Collection, string Namespace, string? Name, bool Status, IQueryCollection Query, string? Token, string UserAgent)
{
    public bool IsWrite => Verb is "create" or "update" or "patch" or "delete";

    public bool IsNextPage => Query.ContainsKey("continue");

    /// <summary>Null for a path that is none of an object.</summary>
    public static FakeRequest? Of(HttpRequest request)
    {
        var path = request.Path.Value!.Split('/', StringSplitOptions.RemoveEmptyEntries);
        var (api, rest) = path switch
        {
            ["api", var version, .. var r] => ($"/{version}", r),
            ["apis", var group, var version, .. var r] => ($"{group}/{version}", r),
            _ => ("", []),
        };
        (var @namespace, rest) = rest is ["namespaces", var n, _, ..] ? (n, rest[2..]) : ("", rest);
        if (rest is not [var plural, ..] || rest.Length > 3)
            return null;
        var name = rest.Length > 1 ? rest[1] : null;
        var verb = request.Method switch
        {
            "GET" when name is not null => "get",
            "GET" => request.Query["watch"] == "true" ? "watch" : "list",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            _ => "delete",
        };
        var authorization = request.Headers.Authorization.ToString();
        return new FakeRequest(verb, $"{api}/{plural}", @namespace, name, rest.Length == 3, request.Query,
            authorization.StartsWith("Bearer ", StringComparison.Ordinal) ? authorization[7..] : null, request.Headers.UserAgent.ToString());
    }
}

/// <summary>What is answered instead of serving the request.</summary>
/// <param name="RetryAfter">In seconds.</param>
internal sealed record FakeRefusal(int Code, string Reason, string Message, int? RetryAfter = null);
