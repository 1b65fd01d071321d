using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace WebhookOperator.Engine.Http;

/// <summary>Text that others have chosen, made fit for every store, log and terminal.</summary>
internal static class PlainText
{
    /// <summary>
    /// The text without what PostgreSQL refuses (half a surrogate pair, which UTF-8 can't say, and NUL) and without
    /// any other control character: line breaks and tabs become spaces, the rest U+FFFD.
    /// </summary>
    [return: NotNullIfNotNull(nameof(text))]
    public static string? Of(string? text)
    {
        if (text is null || !text.Any(c => char.IsControl(c) || char.IsSurrogate(c)))
            return text;
        var plain = new StringBuilder(text.Length);
        // Half a pair is enumerated as U+FFFD.
        foreach (var rune in text.EnumerateRunes())
            plain.Append(!Rune.IsControl(rune) ? rune : Rune.IsWhiteSpace(rune) ? new Rune(' ') : Rune.ReplacementChar);
        return plain.ToString();
    }
}
