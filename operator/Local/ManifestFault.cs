using WebhookOperator.Api.Schema;

namespace WebhookOperator.Local;

/// <summary>What is wrong at one place of a manifest, and what would be right. Never holds a secret value.</summary>
/// <param name="File">As the caller named it.</param>
/// <param name="Line">From 1.</param>
/// <param name="Column">From 1.</param>
/// <param name="Field">The path of the field, such as <c>spec.endpoint.url</c>; empty for the whole document.</param>
/// <param name="Message">For people.</param>
internal sealed record ManifestFault(string File, int Line, int Column, string Field, string Message)
{
    public static ManifestFault From(string file, Finding finding) =>
        new(file, finding.Line, finding.Column, finding.Field, finding.Message);

    /// <summary>The form that editors and CI systems turn into a link.</summary>
    public override string ToString() =>
        Field.Length == 0 ? $"{File}:{Line}:{Column}: {Message}" : $"{File}:{Line}:{Column}: {Field}: {Message}";
}
