namespace WebhookOperator.Engine.Routing;

/// <summary>What a content type says of data.</summary>
internal static class MediaType
{
    /// <summary>One event as a JSON object (structured mode).</summary>
    public const string CloudEvent = "application/cloudevents+json";

    /// <summary>A JSON array of events.</summary>
    public const string CloudEventBatch = "application/cloudevents-batch+json";

    /// <summary>True for */json and */*+json, and for none, which means JSON (CloudEvents JSON format 1.0.2, 3.1).</summary>
    public static bool IsJson(string? contentType)
    {
        if (contentType is null)
            return true;
        var type = contentType.AsSpan();
        var end = type.IndexOf(';');
        type = (end < 0 ? type : type[..end]).Trim();
        return type.EndsWith("/json", StringComparison.OrdinalIgnoreCase) || type.EndsWith("+json", StringComparison.OrdinalIgnoreCase);
    }
}
