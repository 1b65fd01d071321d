namespace WebhookOperator.Api.Checks;

/// <summary>A rule that an object breaks.</summary>
/// <param name="Field">The path of the field, such as <c>spec.endpoint.url</c>.</param>
/// <param name="Message">What would be right, to be read after the field's path.</param>
internal sealed record FieldFault(string Field, string Message);
