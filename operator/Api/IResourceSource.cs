using System.Diagnostics.CodeAnalysis;
using k8s.Models;

namespace WebhookOperator.Api;

/// <summary>
/// Where resources come from and where their status goes: the Kubernetes API, or a folder of manifests.
/// Reading never waits: it reads a cache. An object handed out is not to be changed.
/// </summary>
internal interface IResourceSource
{
    /// <summary>
    /// Called with the key of every object that was added, changed or removed, any number of times, from any
    /// thread. A hint to look again, never the change itself. Set before <see cref="RunAsync"/>.
    /// </summary>
    event Action<ResourceKey>? Changed;

    /// <summary>True once everything that existed at the start has been read.</summary>
    bool Synced { get; }

    /// <summary>What is known to exist, also without a subscription in it.</summary>
    IReadOnlySet<string> Namespaces { get; }

    IReadOnlyCollection<WebhookSubscription> Subscriptions { get; }

    IReadOnlyCollection<WebhookSecret> WebhookSecrets { get; }

    bool TryGetSubscription(string @namespace, string name, [NotNullWhen(true)] out WebhookSubscription? subscription);

    bool TryGetWebhookSecret(string @namespace, string name, [NotNullWhen(true)] out WebhookSecret? secret);

    /// <summary>Null if there is none. Data is decoded, as in <see cref="V1Secret.Data"/>.</summary>
    ValueTask<V1Secret?> GetSecretAsync(string @namespace, string name, CancellationToken cancellation);

    /// <summary>Creates or replaces a Secret that the operator owns, durably.</summary>
    Task SaveSecretAsync(V1Secret secret, CancellationToken cancellation);

    /// <summary>Replaces the status of one object.</summary>
    Task SaveStatusAsync(ResourceKey key, WebhookSubscriptionStatus status, CancellationToken cancellation);

    /// <inheritdoc cref="SaveStatusAsync(ResourceKey, WebhookSubscriptionStatus, CancellationToken)"/>
    Task SaveStatusAsync(ResourceKey key, WebhookSecretStatus status, CancellationToken cancellation);

    /// <summary>Reads and watches until cancelled. Faults are told through the log and never end it.</summary>
    Task RunAsync(CancellationToken cancellation);
}
