using System.Net;
using k8s;

namespace WebhookOperator.Kube;

internal enum ApplyOutcome
{
    Applied,

    /// <summary>The object does not exist any more, or another of its name took its place.</summary>
    Gone,

    /// <summary>Another manager owns one of the fields; only without force.</summary>
    Conflict,
}

/// <summary>
/// Writes the status of objects by server-side apply: each manager owns the fields that it names, those that it named
/// before and leaves out now go away, and all others stay; see
/// https://kubernetes.io/docs/reference/using-api/server-side-apply/.
/// </summary>
/// <remarks>In KubeOps, <c>IKubernetesClient.UpdateStatusAsync</c>: it replaces the whole status, whoever wrote it.</remarks>
internal sealed class StatusApplier(IKubernetes client, TimeProvider time)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly ApiCalls _api = new(client, time);

    /// <summary>One request; nothing is tried again here.</summary>
    /// <param name="uid">Of the object that the status is of, so that a namesake which took its place is left alone; null for any.</param>
    /// <param name="fieldManager">Who owns the fields from now on; at most 128 characters.</param>
    /// <param name="force">Takes over fields of other managers.</param>
    /// <exception cref="KubeApiException">The API server refuses it, is busy (429, with the time to wait) or broken (5xx).</exception>
    /// <exception cref="HttpRequestException">No answer came.</exception>
    /// <exception cref="TimeoutException">No answer within 30 s; the status may have been written.</exception>
    public async Task<ApplyOutcome> ApplyStatusAsync<TStatus>(
        KubeResource resource, ObjectName name, string? uid, TStatus status, string fieldManager, bool force = true,
        CancellationToken cancellation = default)
    {
        var body = KubeJson.Write(new Body<TStatus>(
            resource.ApiVersion, resource.Kind, new BodyMetadata(name.Name, name.Namespace.Length == 0 ? null : name.Namespace, uid), status));
        var path = $"{resource.Path(name)}/status?fieldManager={Uri.EscapeDataString(fieldManager)}&force={(force ? "true" : "false")}";
        try
        {
            await _api.SendAsync<Answer>(HttpMethod.Patch, path, body, ApiCalls.ApplyPatch, Limit, cancellation);
            return ApplyOutcome.Applied;
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return ApplyOutcome.Gone;
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.Conflict)
        {
            return e.Causes.Contains("FieldManagerConflict") ? ApplyOutcome.Conflict : ApplyOutcome.Gone;
        }
    }

    private sealed record Body<TStatus>(string ApiVersion, string Kind, BodyMetadata Metadata, TStatus Status);

    private sealed record BodyMetadata(string Name, string? Namespace, string? Uid);

    /// <summary>Nothing of it is read.</summary>
    private sealed record Answer;
}
