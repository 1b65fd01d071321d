using k8s.Models;
using WebhookOperator.Api;

namespace WebhookOperator.Reconcile;

/// <summary>Which other resources a resource is made from: a change of one means another look at it.</summary>
internal static class References
{
    /// <summary>The Secrets that the spec of a subscription names, each once.</summary>
    public static IReadOnlySet<string> SecretsOf(WebhookSubscriptionSpec spec)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        var endpoint = spec.Endpoint;
        Add(endpoint?.UrlFrom?.SecretKeyRef?.Name);
        foreach (var header in endpoint?.Headers ?? [])
            Add(header.ValueFrom?.SecretKeyRef?.Name);
        Add(endpoint?.Auth?.Bearer?.TokenSecretRef?.Name);
        Add(endpoint?.Auth?.Basic?.SecretRef?.Name);
        Add(endpoint?.Auth?.ApiKey?.ValueSecretRef?.Name);
        Add(endpoint?.Auth?.Oauth2?.ClientSecretRef?.Name);
        Add(endpoint?.Tls?.CaSecretRef?.Name);
        Add(endpoint?.Tls?.ClientCertificateSecretRef?.Name);
        return names;

        void Add(string? name)
        {
            if (name is not null)
                names.Add(name);
        }
    }

    /// <summary>The Secrets that the keys of a WebhookSecret come from.</summary>
    public static IEnumerable<string> SecretsOf(WebhookSecret secret)
    {
        yield return KeySecret.NameFor(secret.Metadata.Name);
        if (secret.Spec.Source?.SecretKeyRef?.Name is { } name)
            yield return name;
    }

    public static ResourceKey Secret(string @namespace, string name) => new(V1Secret.KubeKind, @namespace, name);
}

/// <summary>What a subscription names, as it is now. Everything is of the subscription's namespace.</summary>
/// <param name="Secrets">By name; one that does not exist is left out.</param>
/// <param name="Signing">The WebhookSecret; null if the spec names none, or it does not exist.</param>
internal sealed record Surroundings(IReadOnlyDictionary<string, V1Secret> Secrets, WebhookSecret? Signing)
{
    public static readonly Surroundings Empty = new(new Dictionary<string, V1Secret>(), null);
}
