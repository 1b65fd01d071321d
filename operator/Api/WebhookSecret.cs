using System.Collections.Immutable;
using k8s;
using k8s.Models;
using WebhookOperator.Api.Checks;

namespace WebhookOperator.Api;

/// <summary>The keys that sign deliveries. Every field is described in the CRD.</summary>
[KubernetesEntity(Group = ApiGroup.Name, ApiVersion = ApiGroup.Version, Kind = KubeKind, PluralName = KubePlural)]
internal sealed record WebhookSecret
    : IKubernetesObject<V1ObjectMeta>, ISpec<WebhookSecretSpec>, IStatus<WebhookSecretStatus?>
{
    public const string KubeKind = "WebhookSecret";
    public const string KubePlural = "webhooksecrets";

    public string ApiVersion { get; set; } = ApiGroup.ApiVersion;
    public string Kind { get; set; } = KubeKind;
    public V1ObjectMeta Metadata { get; set; } = new();
    public WebhookSecretSpec Spec { get; set; } = new();
    public WebhookSecretStatus? Status { get; set; }

    /// <summary>Where the spec does not fit the schema, if nobody saw to it before it came here; not part of the resource.</summary>
    internal ImmutableArray<FieldFault> Misfits { get; init; } = [];
}

internal sealed record WebhookSecretSpec
{
    /// <summary>HmacSha256 or Ed25519.</summary>
    public string? Algorithm { get; init; }
    public WebhookSecretSource? Source { get; init; }
    public RotationSpec? Rotation { get; init; }
}

internal sealed record WebhookSecretSource
{
    public GenerateSpec? Generate { get; init; }
    public SecretKeyReference? SecretKeyRef { get; init; }
}

/// <summary>Without fields: that it is there says all.</summary>
internal sealed record GenerateSpec;

internal sealed record RotationSpec
{
    public string? Interval { get; init; }
    public string? Overlap { get; init; }
}

internal sealed record WebhookSecretStatus
{
    public long? ObservedGeneration { get; init; }
    public IReadOnlyList<V1Condition>? Conditions { get; init; }
    public string? SecretName { get; init; }
    public IReadOnlyList<ActiveKey>? ActiveKeys { get; init; }
    public DateTime? NextRotationTime { get; init; }
}

internal sealed record ActiveKey
{
    public string? Id { get; init; }
    public DateTime? CreatedTime { get; init; }
    public DateTime? ExpireTime { get; init; }

    /// <summary>Ed25519 only: <c>whpk_…</c>.</summary>
    public string? PublicKey { get; init; }
}
