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
    /// <param name="uid">
    /// Of the object that the status is of, so that a namesake which took its place does not keep it; null for any. API
    /// servers do not look at it when a status is applied, so the answer is looked at: what went astray is taken back.
    /// </param>
    /// <param name="fieldManager">Who owns the fields from now on; at most 128 characters.</param>
    /// <param name="force">Takes over fields of other managers.</param>
    /// <exception cref="KubeApiException">The API server refuses it, is busy (429, with the time to wait) or broken (5xx).</exception>
    /// <exception cref="HttpRequestException">No answer came.</exception>
    /// <exception cref="TimeoutException">No answer within 30 s; the status may have been written.</exception>
    public async Task<ApplyOutcome> ApplyStatusAsync<TStatus>(
        KubeResource resource, ObjectName name, string? uid, TStatus status, string fieldManager, bool force = true,
        CancellationToken cancellation = default)
    {
        try
        {
            var written = await SendAsync(resource, name, new BodyMetadata(uid, null), status, fieldManager, force, cancellation);
            if (uid is null || written.Uid == uid)
                return ApplyOutcome.Applied;
            await TakeBackAsync(resource, name, written, fieldManager, cancellation);
            return ApplyOutcome.Gone;
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return ApplyOutcome.Gone;
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.Conflict && e.Causes.Contains("FieldManagerConflict"))
        {
            return ApplyOutcome.Conflict;
        }
    }

    /// <summary>Leaves the manager without a field, unless the object has been written since.</summary>
    private async Task TakeBackAsync(
        KubeResource resource, ObjectName name, BodyMetadata written, string fieldManager, CancellationToken cancellation)
    {
        try
        {
            await SendAsync<object?>(resource, name, written, null, fieldManager, force: false, cancellation);
        }
        catch (KubeApiException e) when (e.Status is HttpStatusCode.Conflict or HttpStatusCode.NotFound)
        {
            // Whoever writes the status of the namesake has done so already, or it is gone too.
        }
    }

    private async Task<BodyMetadata> SendAsync<TStatus>(
        KubeResource resource, ObjectName name, BodyMetadata metadata, TStatus status, string fieldManager, bool force,
        CancellationToken cancellation)
    {
        var body = new Body<TStatus>(resource.ApiVersion, resource.Kind, metadata with
        {
            Name = name.Name,
            Namespace = name.Namespace.Length == 0 ? null : name.Namespace,
        }, status);
        var path = $"{resource.Path(name)}/status?fieldManager={Uri.EscapeDataString(fieldManager)}&force={(force ? "true" : "false")}";
        var answer = await _api.SendAsync<Answer>(HttpMethod.Patch, path, KubeJson.Write(body), ApiCalls.ApplyPatch, Limit, cancellation);
        return answer.Metadata;
    }

    private sealed record Body<TStatus>(string ApiVersion, string Kind, BodyMetadata Metadata, TStatus Status);

    private sealed record BodyMetadata(string? Uid, string? ResourceVersion)
    {
        public string? Name { get; init; }
        public string? Namespace { get; init; }
    }

    /// <summary>Of the object that was written, all that is looked at.</summary>
    private sealed record Answer(BodyMetadata Metadata);
}
