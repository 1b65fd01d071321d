namespace WebhookOperator.Api.Schema;

/// <summary>One fault of a manifest.</summary>
/// <param name="Line">Where the text at fault begins, from 1.</param>
/// <param name="Column">Where the text at fault begins, from 1.</param>
/// <param name="Field">The path of the field, such as <c>spec.delivery.retry.schedule[2]</c>; empty for the document.</param>
/// <param name="Message">What is wrong and what would be right, to be read after the field's path.</param>
internal sealed record Finding(int Line, int Column, string Field, string Message);
