using System.Collections.Immutable;

namespace WebhookOperator.Engine.Routing;

/// <summary>How the producer sent the event, and so what <see cref="Event.Body"/> holds.</summary>
internal enum EventEncoding
{
    /// <summary>The body is the event's data; the attributes came as <c>ce-*</c> headers (CloudEvents HTTP binding, 3.1).</summary>
    Binary = 0,

    /// <summary>The body is a whole CloudEvents JSON object, attributes and data (CloudEvents JSON format, 3).</summary>
    Structured = 1,
}

/// <summary>An extension attribute, in the canonical string form of the CloudEvents type system.</summary>
internal readonly record struct Extension(string Name, string Value);

/// <summary>
/// A valid CloudEvent 1.0 as its producer sent it. The bytes of the body are never re-serialised: formats
/// that can, send <see cref="Body"/> or a slice of it.
/// </summary>
internal sealed record Event
{
    /// <summary>The producer's id; (source, id) names the event for duplicate detection.</summary>
    public required string Id { get; init; }

    public required string Source { get; init; }

    public required string Type { get; init; }

    public string? Subject { get; init; }

    /// <summary>RFC 3339, as the producer wrote it.</summary>
    public string? Time { get; init; }

    public string? DataContentType { get; init; }

    public string? DataSchema { get; init; }

    /// <summary>In the order in which they came; names are lower case and distinct.</summary>
    public ImmutableArray<Extension> Extensions { get; init; } = [];

    public required EventEncoding Encoding { get; init; }

    /// <summary>Exactly the bytes that came: for a batch, this event's slice of the array.</summary>
    public required ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>
    /// Where the data is. Binary: the whole body. Structured: the raw JSON value of the member <c>data</c> or
    /// <c>data_base64</c> within <see cref="Body"/>. Empty if the event has no data.
    /// </summary>
    public Range DataRange { get; init; }

    /// <summary>True where <see cref="DataRange"/> is the JSON string of the member <c>data_base64</c>.</summary>
    public bool DataIsBase64 { get; init; }
}
