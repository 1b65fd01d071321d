namespace WebhookOperator.Tests.Testing;

/// <summary>Short manifests.</summary>
internal static class Manifests
{
    public static string Subscription(string name, string url = "https://partner.example/hooks", string @namespace = "acme", string more = "") => $"""
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSubscription
        metadata:
          name: {name}
          namespace: {@namespace}
        spec:
          endpoint:
            url: {url}
        {more}
        """;

    public static string Secret(string name, string key, string value, string @namespace = "acme") => $"""
        apiVersion: v1
        kind: Secret
        metadata:
          name: {name}
          namespace: {@namespace}
        stringData:
          {key}: "{value}"
        """;

    public static string Generated(string name, string rotation = "", string algorithm = "HmacSha256") => $"""
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSecret
        metadata:
          name: {name}
          namespace: acme
        spec:
          algorithm: {algorithm}
          source:
            generate: {"{}"}
        {rotation}
        """;

    public static string Adopted(string name, string secret, string key) => $"""
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSecret
        metadata:
          name: {name}
          namespace: acme
        spec:
          algorithm: HmacSha256
          source:
            secretKeyRef:
              name: {secret}
              key: {key}
        """;

    public static string Join(params string[] documents) => string.Join("\n---\n", documents);
}
