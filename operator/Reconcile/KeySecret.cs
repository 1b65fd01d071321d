using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Reconcile;

/// <param name="Key">A key that signs.</param>
/// <param name="Created">When it was generated, or first seen in the Secret that a WebhookSecret names.</param>
internal sealed record DatedKey(SigningKey Key, DateTimeOffset Created);

/// <summary>
/// The keys of one WebhookSecret as they stand in the Secret that it owns: under <c>current</c> and
/// <c>previous</c>, in the text forms of Standard Webhooks, with their times as annotations. All that rotation
/// must remember is in there, so it goes on where it stopped, whoever goes on with it.
/// </summary>
/// <param name="Algorithm">Of both keys.</param>
/// <param name="Current">The newest.</param>
/// <param name="Previous">Signs too until it expires; null if there is none.</param>
/// <param name="PreviousExpires">Set if and only if there is a previous key.</param>
internal sealed record KeySecret(
    SigningAlgorithm Algorithm, DatedKey Current, DatedKey? Previous = null, DateTimeOffset? PreviousExpires = null)
{
    private const string CurrentKey = "current";
    private const string PreviousKey = "previous";
    private const string AlgorithmAnnotation = ApiGroup.Name + "/algorithm";
    private const string CurrentCreatedAnnotation = ApiGroup.Name + "/current-created";
    private const string PreviousCreatedAnnotation = ApiGroup.Name + "/previous-created";
    private const string PreviousExpiresAnnotation = ApiGroup.Name + "/previous-expires";
    private const string Suffix = "-webhook-keys";

    /// <summary>What the Kubernetes API takes as a name.</summary>
    private const int MaxName = 253;

    /// <summary>The name of the Secret that a WebhookSecret owns.</summary>
    public static string NameFor(string webhookSecret)
    {
        if (webhookSecret.Length + Suffix.Length <= MaxName)
            return webhookSecret + Suffix;
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(webhookSecret)))[..10];
        return webhookSecret[..(MaxName - Suffix.Length - hash.Length)] + hash + Suffix;
    }

    /// <summary>The keys that sign at that time, newest first.</summary>
    public IEnumerable<DatedKey> ActiveAt(DateTimeOffset now)
    {
        yield return Current;
        if (Previous is not null && now < PreviousExpires)
            yield return Previous;
    }

    /// <summary>Puts a key in front; the one that was there signs on until the overlap ends.</summary>
    public KeySecret Rotate(SigningKey next, DateTimeOffset now, TimeSpan overlap) =>
        new(Algorithm, new DatedKey(next, now), Current, now + overlap);

    public KeySecret WithoutExpired(DateTimeOffset now) =>
        PreviousExpires <= now ? this with { Previous = null, PreviousExpires = null } : this;

    /// <summary>True if the Secret was made for that WebhookSecret, or for a namesake that is gone.</summary>
    public static bool IsMadeFor(V1Secret secret, WebhookSecret owner) =>
        secret.Metadata.OwnerReferences?.Any(reference =>
            reference.Kind == WebhookSecret.KubeKind && reference.Name == owner.Metadata.Name) == true;

    /// <summary>True if it was made for exactly that WebhookSecret.</summary>
    public static bool IsOwnedBy(V1Secret secret, WebhookSecret owner) =>
        secret.Metadata.OwnerReferences?.Any(reference => reference.Uid == owner.Metadata.Uid) == true;

    /// <param name="secret">An owned Secret.</param>
    /// <param name="keys">What is in it.</param>
    /// <param name="error">What is wrong with it, to be read after its name; never a value.</param>
    public static bool TryRead(V1Secret secret, [NotNullWhen(true)] out KeySecret? keys, [NotNullWhen(false)] out string? error)
    {
        keys = null;
        if (!Enum.TryParse<SigningAlgorithm>(Annotation(secret, AlgorithmAnnotation), out var algorithm))
        {
            error = $"has no valid annotation {AlgorithmAnnotation}";
            return false;
        }
        if (!TryReadKey(secret, CurrentKey, CurrentCreatedAnnotation, algorithm, out var current, out error))
            return false;
        if (secret.Data?.ContainsKey(PreviousKey) != true)
        {
            keys = new KeySecret(algorithm, current);
            return true;
        }
        if (!TryReadKey(secret, PreviousKey, PreviousCreatedAnnotation, algorithm, out var previous, out error))
            return false;
        if (!TryReadTime(secret, PreviousExpiresAnnotation, out var expires))
        {
            error = $"has no valid annotation {PreviousExpiresAnnotation}";
            return false;
        }
        keys = new KeySecret(algorithm, current, previous, expires);
        return true;
    }

    public V1Secret ToSecret(WebhookSecret owner)
    {
        var annotations = new Dictionary<string, string>
        {
            [AlgorithmAnnotation] = Algorithm.ToString(),
            [CurrentCreatedAnnotation] = Text(Current.Created),
        };
        var data = new Dictionary<string, byte[]> { [CurrentKey] = Encoding.ASCII.GetBytes(Current.Key.ToSecretText()) };
        if (Previous is not null && PreviousExpires is { } expires)
        {
            annotations[PreviousCreatedAnnotation] = Text(Previous.Created);
            annotations[PreviousExpiresAnnotation] = Text(expires);
            data[PreviousKey] = Encoding.ASCII.GetBytes(Previous.Key.ToSecretText());
        }
        return new V1Secret
        {
            ApiVersion = V1Secret.KubeApiVersion,
            Kind = V1Secret.KubeKind,
            Type = "Opaque",
            Data = data,
            Metadata = new V1ObjectMeta
            {
                Name = NameFor(owner.Metadata.Name),
                NamespaceProperty = owner.Metadata.NamespaceProperty,
                Annotations = annotations,
                Labels = new Dictionary<string, string>
                {
                    [ApiGroup.WatchLabel] = "true",
                    ["app.kubernetes.io/managed-by"] = "webhook-operator",
                },
                OwnerReferences =
                [
                    new V1OwnerReference
                    {
                        ApiVersion = owner.ApiVersion,
                        Kind = owner.Kind,
                        Name = owner.Metadata.Name,
                        Uid = owner.Metadata.Uid,
                        Controller = true,
                    },
                ],
            },
        };
    }

    private static bool TryReadKey(
        V1Secret secret, string name, string createdAnnotation, SigningAlgorithm algorithm,
        [NotNullWhen(true)] out DatedKey? dated, [NotNullWhen(false)] out string? error)
    {
        dated = null;
        if (secret.Data is null || !secret.Data.TryGetValue(name, out var bytes))
        {
            error = $"has no key {name}";
            return false;
        }
        if (!SigningKey.TryParse(Encoding.UTF8.GetString(bytes), algorithm, out var key, out var problem))
        {
            error = $"has a key {name} that {problem}";
            return false;
        }
        if (!TryReadTime(secret, createdAnnotation, out var created))
        {
            error = $"has no valid annotation {createdAnnotation}";
            return false;
        }
        error = null;
        dated = new DatedKey(key, created);
        return true;
    }

    private static string? Annotation(V1Secret secret, string name) =>
        secret.Metadata.Annotations is { } annotations && annotations.TryGetValue(name, out var value) ? value : null;

    private static bool TryReadTime(V1Secret secret, string annotation, out DateTimeOffset time) =>
        DateTimeOffset.TryParse(
            Annotation(secret, annotation), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time);

    private static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("O", CultureInfo.InvariantCulture);
}
