using System.Collections.Immutable;

namespace WebhookOperator.Api;

/// <summary>The namespaces that this operator serves; what is in others is left alone, also in the store.</summary>
/// <param name="Names">Empty for all.</param>
internal sealed record NamespaceScope(ImmutableArray<string> Names)
{
    public bool Contains(string @namespace) => Names.IsEmpty || Names.Contains(@namespace);
}
