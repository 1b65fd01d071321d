using System.Text;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Bench.Publishing;

/// <param name="Name">Of the subscription.</param>
/// <param name="Url">Its receiver.</param>
/// <param name="Type">The one event type that it wants; null for all.</param>
internal sealed record SubscriptionManifest(string Name, Uri Url, string? Type = null)
{
    public int Concurrency { get; init; } = 16;

    /// <summary>As in the spec; null for none.</summary>
    public string? RateLimit { get; init; }
}

/// <summary>Writes the folder of manifests that an operator serves. Every subscription signs.</summary>
internal static class Manifests
{
    public const string Namespace = "bench";

    private const int PerFile = 100;

    /// <summary>One for the run; the receiver checks with it.</summary>
    public static readonly string SigningKey =
        Engine.Routing.SigningKey.Generate(SigningAlgorithm.HmacSha256).ToSecretText();

    public static void Write(string folder, IEnumerable<SubscriptionManifest> subscriptions)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "signing.yaml"), $"""
            apiVersion: v1
            kind: Secret
            metadata:
              name: signing
              namespace: {Namespace}
            stringData:
              key: {SigningKey}
            ---
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSecret
            metadata:
              name: signing
              namespace: {Namespace}
            spec:
              algorithm: HmacSha256
              source:
                secretKeyRef:
                  name: signing
                  key: key

            """);
        foreach (var (index, chunk) in subscriptions.Chunk(PerFile).Index())
        {
            var text = new StringBuilder();
            foreach (var subscription in chunk)
                text.Append(Document(subscription));
            File.WriteAllText(Path.Combine(folder, $"subscriptions-{index}.yaml"), text.ToString());
        }
    }

    private static string Document(SubscriptionManifest subscription) => $"""
        ---
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSubscription
        metadata:
          name: {subscription.Name}
          namespace: {Namespace}
        spec:
          endpoint:
            url: {subscription.Url}
          events:
            types: [{subscription.Type}]
          signing:
            secretRef:
              name: signing
          delivery:
            concurrency: {subscription.Concurrency}{(subscription.RateLimit is { } limit ? $"\n    rateLimit: {limit}" : "")}

        """;
}
