using WebhookOperator.Api;
using WebhookOperator.Kube;

namespace WebhookOperator.Cluster;

/// <summary>What the operator reads and writes at the API server.</summary>
internal static class Kinds
{
    public static KubeResource Subscriptions { get; } =
        new(ApiGroup.Name, ApiGroup.Version, WebhookSubscription.KubePlural, WebhookSubscription.KubeKind);

    public static KubeResource WebhookSecrets { get; } = new(ApiGroup.Name, ApiGroup.Version, WebhookSecret.KubePlural, WebhookSecret.KubeKind);

    public static KubeResource Secrets { get; } = new("", "v1", "secrets", "Secret");

    public static KubeResource Namespaces { get; } = new("", "v1", "namespaces", "Namespace");

    public static KubeResource TokenReviews { get; } = new("authentication.k8s.io", "v1", "tokenreviews", "TokenReview");

    public static KubeResource AccessReviews { get; } = new("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview");
}
