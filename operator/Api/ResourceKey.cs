namespace WebhookOperator.Api;

/// <summary>Names one object in a source; the kind is the key's, so keys of two kinds never mix.</summary>
internal readonly record struct ResourceKey(string Kind, string Namespace, string Name)
{
    public override string ToString() => $"{Kind} {Namespace}/{Name}";
}
