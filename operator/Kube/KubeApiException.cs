using System.Net;
using System.Text.Json;

namespace WebhookOperator.Kube;

/// <summary>The API server answered, and not with what was asked for.</summary>
internal sealed class KubeApiException : Exception
{
    private KubeApiException(string message, HttpStatusCode status, string? reason, string? says, TimeSpan? retryAfter,
        IReadOnlyList<string> causes)
        : base(message)
    {
        Status = status;
        Reason = reason;
        Says = says;
        RetryAfter = retryAfter;
        Causes = causes;
    }

    public HttpStatusCode Status { get; }

    /// <summary>Kubernetes' word for it, such as <c>Expired</c> or <c>AlreadyExists</c>; null if it gave none.</summary>
    public string? Reason { get; }

    /// <summary>The server's own sentence; null if it gave none.</summary>
    public string? Says { get; }

    /// <summary>How long the server asks to be left alone.</summary>
    public TimeSpan? RetryAfter { get; }

    /// <summary>The reasons of the single causes, such as <c>FieldManagerConflict</c>.</summary>
    public IReadOnlyList<string> Causes { get; }

    /// <summary>What an answer or an ERROR frame of a watch tells.</summary>
    /// <param name="call">Method and path.</param>
    /// <param name="body">A <c>Status</c> of Kubernetes, or whatever a proxy put in its place.</param>
    public static KubeApiException From(string call, HttpStatusCode? status, ReadOnlySpan<byte> body, TimeSpan? retryAfter = null)
    {
        Body? parsed = null;
        try
        {
            parsed = KubeJson.Read<Body>(body);
        }
        catch (JsonException)
        {
            // Not from the API server itself: the status code says what there is to say.
        }
        var code = status ?? (HttpStatusCode)(parsed?.Code ?? 0);
        if (retryAfter is null && parsed?.Details?.RetryAfterSeconds is > 0 and var seconds)
            retryAfter = TimeSpan.FromSeconds(seconds);
        return new KubeApiException($"{call}: {(int)code} {parsed?.Reason ?? code.ToString()}" + (parsed?.Message is { } says ? $": {says}" : ""),
            code, parsed?.Reason, parsed?.Message, retryAfter, [.. parsed?.Details?.Causes?.Select(cause => cause.Reason ?? "") ?? []]);
    }

    private sealed record Body(string? Message, string? Reason, int? Code, BodyDetails? Details);

    private sealed record BodyDetails(int RetryAfterSeconds, IReadOnlyList<Cause>? Causes);

    private sealed record Cause(string? Reason);
}
