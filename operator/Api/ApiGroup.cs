namespace WebhookOperator.Api;

/// <summary>The names under which the Kubernetes API knows the resources.</summary>
internal static class ApiGroup
{
    public const string Name = "webhookoperator.io";
    public const string Version = "v1alpha1";
    public const string ApiVersion = Name + "/" + Version;

    /// <summary>Secrets with this label, value "true", are watched; the operator labels its own.</summary>
    public const string WatchLabel = Name + "/watch";
}
