namespace WebhookOperator.Engine.Ingest;

/// <summary>Why something that was sent is not a CloudEvent.</summary>
/// <param name="Field">The attribute or member; null where it is the whole.</param>
/// <param name="Message">A sentence: what is wrong and what would be right.</param>
/// <param name="Index">Within a batch, from 0.</param>
internal sealed record EventFault(string? Field, string Message, int? Index = null);
