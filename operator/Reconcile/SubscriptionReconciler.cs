using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Reconcile;

/// <summary>Reads what a subscription is made from, as it is now, and translates it.</summary>
internal sealed class SubscriptionReconciler(
    IResourceSource source, SubscriptionTranslator translator, DependencyIndex dependencies, TimeProvider time)
{
    /// <summary>Null if the subscription is gone, or about to go.</summary>
    /// <param name="key">Of the subscription.</param>
    /// <param name="lastFilter">The filter in force; null if there is none.</param>
    /// <param name="cancellation">Ends reading.</param>
    public async Task<SubscriptionOutcome?> ReconcileAsync(ResourceKey key, Filter? lastFilter, CancellationToken cancellation)
    {
        // One that is being deleted takes no more events, however long others hold its removal up.
        if (!source.TryGetSubscription(key.Namespace, key.Name, out var resource) || resource.Metadata.DeletionTimestamp is not null)
            return null;

        // What is read is registered before, so that no change falls between.
        var names = new HashSet<string>(References.SecretsOf(resource.Spec));
        var signingName = resource.Spec.Signing?.SecretRef?.Name;
        WebhookSecret? signing = null;
        if (signingName is not null)
        {
            var signingKey = new ResourceKey(WebhookSecret.KubeKind, key.Namespace, signingName);
            dependencies.Set(key, [signingKey]);
            if (source.TryGetWebhookSecret(key.Namespace, signingName, out signing))
                names.UnionWith(References.SecretsOf(signing));
            dependencies.Set(key, [signingKey, .. names.Select(name => References.Secret(key.Namespace, name))]);
        }
        else
        {
            dependencies.Set(key, [.. names.Select(name => References.Secret(key.Namespace, name))]);
        }

        var secrets = new Dictionary<string, V1Secret>(StringComparer.Ordinal);
        foreach (var name in names)
        {
            if (await source.GetSecretAsync(key.Namespace, name, cancellation) is { } secret)
                secrets[name] = secret;
        }
        return translator.Translate(resource, new Surroundings(secrets, signing), lastFilter, time.GetUtcNow());
    }
}
