using System.Collections.Immutable;
using System.Text;
using k8s;
using WebhookOperator.Api;
using WebhookOperator.Api.Checks;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Kube;
using WebhookOperator.Status;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Reconcile;

/// <summary>
/// Sees to it that the Secret that a WebhookSecret owns holds the keys that should sign now: generated and
/// rotated here, or taken over from the Secret that it names.
/// </summary>
internal sealed partial class WebhookSecretReconciler(
    IResourceSource source, Action<ResourceEvent> tell, TimeProvider time, Instruments instruments, ILogger<WebhookSecretReconciler> logger)
{
    /// <summary>How long a replaced key signs on where the spec does not say.</summary>
    private static readonly TimeSpan DefaultOverlap = TimeSpan.FromHours(24);

    public async Task<ReconcileResult> ReconcileAsync(string @namespace, string name, CancellationToken cancellation)
    {
        if (!source.TryGetWebhookSecret(@namespace, name, out var resource))
            return ReconcileResult.Done;
        var now = time.GetUtcNow();

        // 1. What is there.
        var owned = await source.GetSecretAsync(@namespace, KeySecret.NameFor(name), cancellation);
        KeySecret? before = null;
        string? problem = null;
        if (owned is not null && KeySecret.IsOwnedBy(owned, resource))
            KeySecret.TryRead(owned, out before, out problem);

        // 2. What should be there.
        var kept = before?.WithoutExpired(now);
        var outcome = SecretChecks.Check(resource) is [var fault, ..]
            ? Outcome.Stall("InvalidSpec", $"{fault.Field} {fault.Message}.", kept)
            : owned is not null && !KeySecret.IsMadeFor(owned, resource)
            ? Outcome.Stall("SecretConflict",
                $"The Secret {owned.Metadata.Name} is not of this WebhookSecret, which would keep its keys there: remove or rename one of them.", null)
            : resource.Spec.Source?.SecretKeyRef is { } reference
            ? await AdoptAsync(resource, reference, kept, now, cancellation)
            : problem is not null
            ? Outcome.Stall("InvalidKeys",
                $"The Secret {owned!.Metadata.Name} {problem}. Restore it, or delete it to have new keys generated.", null)
            : Generate(resource, kept, now);

        // 3. Make it so, before anything signs with it.
        if (outcome.Keys is { } keys && keys != before)
        {
            await source.SaveSecretAsync(keys.ToSecret(resource), owned, cancellation);
            Tell(resource, before, keys);
        }

        // 4. Tell.
        var rotation = NextRotation(resource, outcome.Keys);
        await SaveStatusAsync(resource, outcome, rotation, now, cancellation);
        var again = outcome.Keys?.PreviousExpires is { } expires && !(rotation < expires) ? expires : rotation;
        return ReconcileResult.AgainAt(again);
    }

    private void Tell(WebhookSecret resource, KeySecret? before, KeySecret keys)
    {
        var (@namespace, name) = (resource.Metadata.NamespaceProperty, resource.Metadata.Name);
        if (before is null)
        {
            KeysCreated(@namespace, name, keys.Current.Key);
            tell(new ResourceEvent(resource, false, "KeysCreated", "CreateKeys", $"The key {keys.Current.Key.Id} signs from now on."));
        }
        else if (keys.Current != before.Current)
        {
            Rotated(@namespace, name, before.Current.Key, keys.Current.Key, keys.PreviousExpires);
            tell(new ResourceEvent(resource, false, "Rotated", "RotateKeys",
                $"The key {keys.Current.Key.Id} signs from now on, and {before.Current.Key.Id} too until {keys.PreviousExpires:yyyy-MM-ddTHH:mm:ss}Z."));
        }
    }

    private static Outcome Generate(WebhookSecret resource, KeySecret? before, DateTimeOffset now)
    {
        var algorithm = AlgorithmOf(resource);
        if (before is null)
            return Outcome.Use(new KeySecret(algorithm, new DatedKey(SigningKey.Generate(algorithm), now)));
        if (before.Algorithm != algorithm)
            return AlgorithmChanged(before, algorithm);
        return NextRotation(resource, before) <= now
            ? Outcome.Use(before.Rotate(SigningKey.Generate(algorithm), now, OverlapOf(resource)))
            : Outcome.Use(before);
    }

    private async Task<Outcome> AdoptAsync(
        WebhookSecret resource, SecretKeyReference reference, KeySecret? before, DateTimeOffset now, CancellationToken cancellation)
    {
        var algorithm = AlgorithmOf(resource);
        if (before is not null && before.Algorithm != algorithm)
            return AlgorithmChanged(before, algorithm);
        var secret = await source.GetSecretAsync(resource.Metadata.NamespaceProperty, reference.Name!, cancellation);
        if (secret is null)
            return Outcome.Wait("SecretNotFound", $"The Secret {reference.Name} does not exist.", before);
        if (secret.Data is null || !secret.Data.TryGetValue(reference.Key!, out var bytes))
            return Outcome.Wait("SecretKeyNotFound", $"The Secret {reference.Name} has no key {reference.Key}.", before);
        if (!SigningKey.TryParse(Encoding.UTF8.GetString(bytes).Trim(), algorithm, out var key, out var error))
        {
            return Outcome.Stall("InvalidKey",
                $"The key {reference.Key} of the Secret {reference.Name} {error}." + (before is null ? "" : " The last valid one signs on."), before);
        }
        if (before is null)
            return Outcome.Use(new KeySecret(algorithm, new DatedKey(key, now)));
        return Outcome.Use(key.Id == before.Current.Key.Id ? before : before.Rotate(key, now, OverlapOf(resource)));
    }

    private static Outcome AlgorithmChanged(KeySecret before, SigningAlgorithm algorithm) => Outcome.Stall("AlgorithmChanged",
        $"spec.algorithm must not change from {before.Algorithm} to {algorithm}, since receivers hold keys of the old kind: create another WebhookSecret.",
        before);

    /// <summary>Never before the previous key has expired: a receiver may still need it.</summary>
    private static DateTimeOffset? NextRotation(WebhookSecret resource, KeySecret? keys)
    {
        if (keys is null || resource.Spec.Source?.Generate is null || !KubeDuration.TryParse(resource.Spec.Rotation?.Interval, out var interval))
            return null;
        var due = keys.Current.Created + interval;
        return keys.PreviousExpires > due ? keys.PreviousExpires : due;
    }

    private async Task SaveStatusAsync(
        WebhookSecret resource, Outcome outcome, DateTimeOffset? rotation, DateTimeOffset now, CancellationToken cancellation)
    {
        var keys = outcome.Keys;
        var status = new WebhookSecretStatus
        {
            ObservedGeneration = resource.Metadata.Generation,
            Conditions = Conditions(outcome, now).ToConditions(resource.Status?.Conditions, resource.Metadata.Generation, now),
            SecretName = keys is null ? null : KeySecret.NameFor(resource.Metadata.Name),
            ActiveKeys = keys is null ? null :
            [
                .. keys.ActiveAt(now).Select(key => new ActiveKey
                {
                    Id = key.Key.Id,
                    CreatedTime = key.Created.ToStatusTime(),
                    ExpireTime = key == keys.Previous ? keys.PreviousExpires?.ToStatusTime() : null,
                    PublicKey = key.Key.PublicKey,
                }),
            ],
            NextRotationTime = rotation?.ToStatusTime(),
        };
        if (resource.Status is { } last && KubernetesJson.Serialize(status) == KubernetesJson.Serialize(last))
            return;
        try
        {
            await source.SaveStatusAsync(
                new ResourceKey(WebhookSecret.KubeKind, resource.Metadata.NamespaceProperty, resource.Metadata.Name),
                resource.Metadata.Uid, status, cancellation);
        }
        catch (Exception e) when (e is not LeadershipLostException && !cancellation.IsCancellationRequested)
        {
            instruments.StatusWrites.WithLabels("error").Inc();
            throw;
        }
        instruments.StatusWrites.WithLabels("success").Inc();
        var was = resource.Status?.Conditions?.FirstOrDefault(condition => condition.Type == ConditionTypes.Ready);
        if (outcome.Reason is { } reason && reason != was?.Reason)
            tell(new ResourceEvent(resource, true, reason, "Reconcile", outcome.Message!));
    }

    private static ImmutableArray<ConditionDraft> Conditions(Outcome outcome, DateTimeOffset now)
    {
        var ready = new ConditionDraft(ConditionTypes.Ready, outcome.Reason is null, outcome.Reason ?? "KeysAvailable",
            outcome.Message ?? "The keys are there and sign.");
        var rotating = outcome.Keys is { } keys && keys.ActiveAt(now).Count() > 1
            ? new ConditionDraft(ConditionTypes.Rotating, true, "Overlap",
                $"The keys {keys.Current.Key.Id} and {keys.Previous!.Key.Id} both sign until {keys.PreviousExpires:yyyy-MM-ddTHH:mm:ss}Z.")
            : new ConditionDraft(ConditionTypes.Rotating, false, "OneKey", "One key signs.");
        return outcome.Stalled
            ? [ready, new ConditionDraft(ConditionTypes.Stalled, true, outcome.Reason!, outcome.Message!), rotating]
            : [ready, rotating];
    }

    private static SigningAlgorithm AlgorithmOf(WebhookSecret resource) =>
        Enum.TryParse<SigningAlgorithm>(resource.Spec.Algorithm, out var algorithm) ? algorithm : SigningAlgorithm.HmacSha256;

    private static TimeSpan OverlapOf(WebhookSecret resource) =>
        KubeDuration.TryParse(resource.Spec.Rotation?.Overlap, out var overlap) ? overlap : DefaultOverlap;

    [LoggerMessage(Level = LogLevel.Information, Message = "WebhookSecret {Namespace}/{Name}: the key {Key} signs from now on")]
    private partial void KeysCreated(string @namespace, string name, SigningKey key);

    [LoggerMessage(Level = LogLevel.Information,
        Message = "WebhookSecret {Namespace}/{Name}: the key {Key} signs from now on, and {Previous} too until {Expires}")]
    private partial void Rotated(string @namespace, string name, SigningKey previous, SigningKey key, DateTimeOffset? expires);

    /// <param name="Keys">What should be in the owned Secret; null leaves it as it is.</param>
    /// <param name="Reason">Why the WebhookSecret is not ready; null if it is.</param>
    /// <param name="Message">In words; null if and only if the reason is.</param>
    /// <param name="Stalled">Only a change can mend it.</param>
    private sealed record Outcome(KeySecret? Keys, string? Reason, string? Message, bool Stalled)
    {
        public static Outcome Use(KeySecret keys) => new(keys, null, null, false);

        /// <summary>Until something that is missing appears.</summary>
        public static Outcome Wait(string reason, string message, KeySecret? keys) => new(keys, reason, message, false);

        public static Outcome Stall(string reason, string message, KeySecret? keys) => new(keys, reason, message, true);
    }
}
