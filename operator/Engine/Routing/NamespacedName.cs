namespace WebhookOperator.Engine.Routing;

/// <summary>The name by which people and URLs know a resource: unique while it exists, reusable after.</summary>
internal readonly record struct NamespacedName(string Namespace, string Name)
{
    public override string ToString() => $"{Namespace}/{Name}";
}
