namespace WebhookOperator.Kube;

/// <summary>Where the API server keeps the objects of one kind.</summary>
/// <param name="Group">Empty for the core group.</param>
internal sealed record KubeResource(string Group, string Version, string Plural, string Kind)
{
    /// <summary>As in <c>apiVersion</c> of an object.</summary>
    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    /// <summary>As kubectl and RBAC messages name it.</summary>
    public override string ToString() => Group.Length == 0 ? Plural : $"{Plural}.{Group}";

    /// <summary>The path of all objects, or of those in a namespace; relative to the API server's address.</summary>
    public string Path(string? @namespace = null)
    {
        var root = Group.Length == 0 ? $"api/{Version}" : $"apis/{Group}/{Version}";
        return string.IsNullOrEmpty(@namespace) ? $"{root}/{Plural}" : $"{root}/namespaces/{Uri.EscapeDataString(@namespace)}/{Plural}";
    }

    public string Path(ObjectName name) => $"{Path(name.Namespace)}/{Uri.EscapeDataString(name.Name)}";
}
