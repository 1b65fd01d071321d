using System.Globalization;
using System.Text.Json;

namespace WebhookOperator.Engine.Ingest;

/// <summary>An error answer as RFC 9457 describes it: <c>application/problem+json</c>.</summary>
/// <param name="Status">The HTTP status code.</param>
/// <param name="Detail">What is wrong and what would be right.</param>
internal sealed record Problem(int Status, string Detail)
{
    private const string ContentType = "application/problem+json";

    /// <summary>The attribute or parameter that is wrong.</summary>
    public string? Field { get; init; }

    /// <summary>The event of a batch that is wrong, from 0.</summary>
    public int? Index { get; init; }

    /// <summary>When trying again makes sense.</summary>
    public TimeSpan? RetryAfter { get; init; }

    public Task WriteAsync(HttpContext context)
    {
        var response = context.Response;
        response.StatusCode = Status;
        response.ContentType = ContentType;
        if (RetryAfter is { } wait)
            response.Headers.RetryAfter = Math.Max(1, Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        if (Status == StatusCodes.Status401Unauthorized)
            response.Headers.WWWAuthenticate = "Bearer";
        using var writer = new Utf8JsonWriter(response.BodyWriter);
        writer.WriteStartObject();
        writer.WriteString("type", "about:blank");
        writer.WriteString("title", Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(Status));
        writer.WriteNumber("status", Status);
        writer.WriteString("detail", Detail);
        if (Field is not null)
            writer.WriteString("field", Field);
        if (Index is { } index)
            writer.WriteNumber("index", index);
        writer.WriteEndObject();
        writer.Flush();
        return response.BodyWriter.FlushAsync(context.RequestAborted).AsTask();
    }
}
