using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Testing;

/// <summary>One thing that may be done, or was.</summary>
/// <param name="Namespace">Empty for every namespace and for what has none.</param>
internal sealed record Right(string Namespace, string Verb, string Group, string Resource)
{
    public override string ToString() => $"{Verb} {Resource}{(Group.Length > 0 ? "." : "")}{Group} {(Namespace.Length > 0 ? $"in {Namespace}" : "everywhere")}";
}

/// <summary>The rights of the operator's ServiceAccount, as they are bound in an API server.</summary>
internal static class OperatorRights
{
    public const string Namespace = "webhook-operator-system";
    public const string Account = "webhook-operator";

    /// <summary>The kubeconfig of the operator's ServiceAccount, with a fresh token each time.</summary>
    public static async Task<string> KubeconfigAsync(ControlPlane plane) => (await plane.AsServiceAccountAsync(Namespace, Account)).Kubeconfig;

    /// <summary>Applies <c>config/rbac</c>, or its variant for the namespace acme alone.</summary>
    public static async Task InstallAsync(ControlPlane plane, bool everyNamespace = true)
    {
        await plane.Admin.RunAsync("apply", "--server-side", "-f", Path.Combine(Repository.Root, "config", "operator", "namespace.yaml"));
        await plane.Admin.RunAsync(
            "apply", "--server-side", "-k", Path.Combine(Repository.Root, "config", "rbac", everyNamespace ? "" : "namespaced"));
    }

    /// <summary>Everything that is granted by name; what every authenticated user may do is not in it.</summary>
    private static async Task<IReadOnlySet<Right>> GrantedAsync(ControlPlane plane)
    {
        var rules = (await ItemsAsync(plane, "clusterroles,roles")).ToDictionary(
            role => ((string?)role["metadata"]!["namespace"] ?? "", (string)role["metadata"]!["name"]!), role => role["rules"] as JsonArray ?? []);
        var rights = new HashSet<Right>();
        foreach (var binding in await ItemsAsync(plane, "clusterrolebindings,rolebindings"))
        {
            var subjects = binding["subjects"] as JsonArray ?? [];
            if (!subjects.Any(s => (string?)s!["kind"] == "ServiceAccount" && (string?)s["name"] == Account && (string?)s["namespace"] == Namespace))
                continue;
            var space = (string?)binding["metadata"]!["namespace"] ?? "";
            var role = ((string?)binding["roleRef"]!["kind"] == "Role" ? space : "", (string)binding["roleRef"]!["name"]!);
            foreach (var rule in rules[role])
                foreach (var group in Texts(rule!, "apiGroups"))
                    foreach (var resource in Texts(rule!, "resources"))
                        foreach (var verb in Texts(rule!, "verbs"))
                            rights.Add(new Right(space, verb, group, resource));
        }
        return rights;
    }

    /// <summary>What the operator has asked for so far and was not allowed to.</summary>
    public static IEnumerable<Right> Refused(ControlPlane plane) =>
        plane.Audit.RequestsOf(Namespace, Account).Where(request => !request.Allowed).Select(Of).Distinct();

    /// <summary>What is granted and was not used so far.</summary>
    public static async Task<IReadOnlyCollection<Right>> UnusedAsync(ControlPlane plane)
    {
        var requests = plane.Audit.RequestsOf(Namespace, Account);
        return [.. (await GrantedAsync(plane)).Where(right => !requests.Any(request => Covers(right, request)))];
    }

    private static Right Of(AuditedRequest request) => new(request.Namespace, request.Verb, request.Group, request.Resource);

    private static bool Covers(Right right, AuditedRequest request) =>
        (right.Namespace.Length == 0 ? Of(request) with { Namespace = "" } : Of(request)) == right;

    private static async Task<IEnumerable<JsonNode>> ItemsAsync(ControlPlane plane, string resources) =>
        JsonNode.Parse(await plane.Admin.RunAsync("get", resources, "--all-namespaces", "-o", "json"))!["items"]!.AsArray().Select(item => item!);

    private static IEnumerable<string> Texts(JsonNode rule, string name) => (rule[name] as JsonArray ?? []).Select(text => (string)text!);
}
