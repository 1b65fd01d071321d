namespace WebhookOperator.Api.Checks;

/// <summary>
/// The CEL rules of the WebhookSecret CRD once more, for API servers that drop them and for manifests that
/// never see one. The structure is taken to fit the schema already.
/// </summary>
internal static class SecretChecks
{
    /// <summary>Every rule that the object breaks; with defaults applied or not.</summary>
    public static IReadOnlyList<FieldFault> Check(WebhookSecret secret)
    {
        if (!secret.Misfits.IsEmpty)
            return secret.Misfits;
        var faults = new List<FieldFault>();
        if (secret.Spec.Source is { } source && source.Generate is null == source.SecretKeyRef is null)
            faults.Add(new("spec.source",
                "must have exactly one of secretKeyRef and generate, which is written as generate: {}"));
        if (secret.Spec.Rotation is not { } rotation)
            return faults;
        if (secret.Spec.Source is { Generate: null })
            faults.Add(new("spec.rotation",
                "must be left out unless source.generate is set; a key from secretKeyRef is rotated where it is kept"));
        faults.CheckDuration("spec.rotation.interval", rotation.Interval, "10s", "8784h", "720h");
        faults.CheckDuration("spec.rotation.overlap", rotation.Overlap, "1s", "8784h", "24h");
        if (KubeDuration.TryParse(rotation.Interval, out var interval)
            && KubeDuration.TryParse(rotation.Overlap ?? "24h", out var overlap) && overlap >= interval)
            faults.Add(new("spec.rotation.overlap", "must be shorter than interval; it is 24h unless set"));
        return faults;
    }

    /// <summary>The rules that a change from one spec to another breaks.</summary>
    public static IReadOnlyList<FieldFault> CheckChange(WebhookSecret before, WebhookSecret after) =>
        (before.Spec.Algorithm ?? "HmacSha256") == (after.Spec.Algorithm ?? "HmacSha256")
            ? []
            : [new("spec.algorithm",
                "must not change, since receivers hold keys of this kind; create another WebhookSecret")];
}
