using k8s;
using k8s.Models;

namespace WebhookOperator.Kube;

/// <summary>Names one object of a kind.</summary>
/// <param name="Namespace">Empty for an object that is of no namespace.</param>
internal readonly record struct ObjectName(string Namespace, string Name)
{
    public static ObjectName Of(IKubernetesObject<V1ObjectMeta> item) => Of(item.Metadata);

    public static ObjectName Of(V1ObjectMeta metadata) => new(metadata.NamespaceProperty ?? "", metadata.Name);

    public override string ToString() => Namespace.Length == 0 ? Name : $"{Namespace}/{Name}";
}
