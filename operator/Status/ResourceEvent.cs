using k8s;
using k8s.Models;

namespace WebhookOperator.Status;

/// <summary>Something that happened to a resource and that people should find beside it (<c>kubectl describe</c>).</summary>
/// <param name="Regarding">The resource.</param>
/// <param name="Warning">Whether someone may have to act.</param>
/// <param name="Reason">A CamelCase word that scripts may rely on.</param>
/// <param name="Action">What the operator did or tried, in CamelCase.</param>
/// <param name="Message">For people. Never holds a credential.</param>
internal sealed record ResourceEvent(
    IKubernetesObject<V1ObjectMeta> Regarding, bool Warning, string Reason, string Action, string Message);
