using System.Net;
using System.Text.Json;

namespace WebhookOperator.Kube;

/// <summary>Says in a sentence what went wrong with the API server, for logs and probes.</summary>
internal static class ApiFault
{
    /// <param name="verb">Of RBAC: what the request needed.</param>
    /// <param name="notFoundHint">What mends it where the resource is not known.</param>
    public static string Describe(Exception e, Uri server, KubeResource resource, string verb, string? notFoundHint = null) => e switch
    {
        KubeApiException { Status: HttpStatusCode.NotFound } =>
            $"the API server {server} does not know {resource} in version {resource.Version} (404)" + (notFoundHint is null ? "" : $": {notFoundHint}"),
        KubeApiException { Status: HttpStatusCode.Forbidden } forbidden =>
            $"the verb {verb} on {resource} is not granted (403): {forbidden.Says ?? forbidden.Message}",
        KubeApiException { Status: HttpStatusCode.Unauthorized } =>
            $"the API server {server} does not accept the credentials (401): the token is expired or of another cluster",
        KubeApiException answer => answer.Message,
        HttpRequestException or IOException => $"the API server {server} can't be reached: {Innermost(e).Message}",
        JsonException => $"the API server {server} answered with something else than {resource}: {e.Message}",
        _ => e.Message,
    };

    private static Exception Innermost(Exception e) => e.InnerException is { } inner ? Innermost(inner) : e;
}
