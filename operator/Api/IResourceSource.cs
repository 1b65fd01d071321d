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

    /// <summary>
    /// Creates or changes a Secret that the operator owns, durably; the next <see cref="GetSecretAsync"/> reads it.
    /// Throws <see cref="ResourceConflictException"/> where someone else was there first, and
    /// <see cref="LeadershipLostException"/> where it is another replica's to write, as status writes do.
    /// </summary>
    /// <param name="secret">All that the operator wants in it.</param>
    /// <param name="before">What was read and led to the change; null if there was none.</param>
    /// <param name="cancellation">Ends waiting; the change may have been made.</param>
    Task SaveSecretAsync(V1Secret secret, V1Secret? before, CancellationToken cancellation);

    /// <summary>
    /// Writes the part of a status that is the writer's, and leaves the other's alone. Does nothing where the object
    /// is gone, or another of its name has taken its place.
    /// </summary>
    Task SaveStatusAsync(
        ResourceKey key, string uid, StatusWriter writer, WebhookSubscriptionStatus part, CancellationToken cancellation);

    /// <inheritdoc cref="SaveStatusAsync(ResourceKey, string, StatusWriter, WebhookSubscriptionStatus, CancellationToken)"/>
    Task SaveStatusAsync(ResourceKey key, string uid, WebhookSecretStatus status, CancellationToken cancellation);

    /// <summary>Reads and watches until cancelled. Faults are told through the log and never end it.</summary>
    Task RunAsync(CancellationToken cancellation);
}

/// <summary>Who owns which fields of a WebhookSubscription's status.</summary>
internal enum StatusWriter
{
    /// <summary>What follows from the spec: all but what is the other's.</summary>
    Controller,

    /// <summary>What was seen while delivering: circuit, delivery, and the conditions EndpointHealthy and Disabled.</summary>
    Delivery,
}

/// <summary>The object has changed since it was read: read it again and decide anew.</summary>
internal sealed class ResourceConflictException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Another replica leads now; what was to be written is its to write.</summary>
internal sealed class LeadershipLostException() : Exception("Another replica leads now.");
