using System.Collections.Immutable;
using WebhookOperator.Api;
using WebhookOperator.Local;
using WebhookOperator.Reconcile;

namespace WebhookOperator.Cli.Demo;

/// <summary>What a receiver verifies with: secrets and, for Ed25519, public keys, taken from where local mode keeps them: beside the store.</summary>
internal static class DemoKeys
{
    /// <param name="stateFile">Written by the operator that runs.</param>
    /// <param name="receiver">Only subscriptions that send here.</param>
    /// <param name="now">Only keys that are active.</param>
    /// <returns>By path; none for subscriptions that are not signed.</returns>
    public static ImmutableDictionary<string, SignatureCheck> Read(string stateFile, Uri receiver, DateTimeOffset now)
    {
        var state = LocalState.Open(stateFile);
        var keys = ImmutableDictionary.CreateBuilder<string, SignatureCheck>();
        foreach (var subscription in state.Objects.Values.Select(saved => saved.Resource).OfType<WebhookSubscription>())
        {
            if (Uri.TryCreate(subscription.Spec.Endpoint?.Url, UriKind.Absolute, out var url) && url.Authority == receiver.Authority
                && subscription.Spec.Signing?.SecretRef?.Name is { } secret)
            {
                keys[url.AbsolutePath] = new SignatureCheck(Keys(state, subscription.Metadata.NamespaceProperty, secret, now));
            }
        }
        return keys.ToImmutable();
    }

    private static IEnumerable<string> Keys(LocalState state, string @namespace, string name, DateTimeOffset now)
    {
        var owned = state.OwnedSecret(@namespace, KeySecret.NameFor(name))
            ?? throw new VerbFailedException($"The WebhookSecret {@namespace}/{name} has no keys yet; see what the operator says of it above.");
        if (!KeySecret.TryRead(owned, out var keys, out var error))
            throw new VerbFailedException($"The Secret {@namespace}/{owned.Metadata.Name} {error}.");
        return keys.ActiveAt(now).Select(dated => dated.Key.PublicKey ?? dated.Key.ToSecretText());
    }
}
