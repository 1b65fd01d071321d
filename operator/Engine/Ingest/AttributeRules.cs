using System.Globalization;
using System.Net.Mime;
using System.Text;

namespace WebhookOperator.Engine.Ingest;

/// <summary>What CloudEvents 1.0.2 demands of attributes (sections "Context Attributes" and "Type System").</summary>
internal static class AttributeRules
{
    /// <summary>In UTF-16 units; the specification asks intermediaries to carry events of 64 KiB.</summary>
    public const int LongestValue = 8 * 1024;

    public const int MostExtensions = 64;

    private static readonly string[] TimeFormats = ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK"];

    /// <summary>Null if the attribute may have that value.</summary>
    public static string? FaultOf(string name, string value)
    {
        if (value.Length > LongestValue)
            return $"{name} is {value.Length} characters long; at most {LongestValue} are taken.";
        if (value.AsSpan().ContainsAnyExceptInRange(' ', '~'))
            foreach (var rune in value.EnumerateRunes())
                if (Rune.IsControl(rune) || IsNoncharacter(rune.Value))
                    return $"{name} contains U+{rune.Value:X4}; no attribute may have control characters or noncharacters.";
        return name switch
        {
            "specversion" when value != "1.0" => $"specversion is '{value}'; this API takes CloudEvents 1.0, so it must be \"1.0\".",
            "id" or "type" or "source" or "subject" or "dataschema" when value.Length == 0 => $"{name} is empty; it must be a non-empty string.",
            "source" when !IsUriReference(value) => "source is not a URI reference; examples are /sensors/17 and https://shop.example/orders.",
            "dataschema" when !IsUriReference(value) || value[0] == '/' || !Uri.TryCreate(value, UriKind.Absolute, out _) =>
                "dataschema is not an absolute URI; an example is https://schemas.example/order.json.",
            "time" when !IsTimestamp(value) => $"time is '{value}'; it must be an RFC 3339 timestamp such as 2026-01-31T12:00:00Z.",
            "datacontenttype" when !IsMediaType(value) =>
                $"datacontenttype is '{value}'; it must be a media type such as application/json.",
            _ => null,
        };
    }

    /// <summary>Null if an extension attribute may have that name.</summary>
    public static string? FaultOfName(string name)
    {
        if (name.Length == 0)
            return "An attribute has an empty name; names consist of lower-case letters and digits.";
        foreach (var c in name)
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c))
                return $"The attribute name '{name}' has a '{c}'; names consist of lower-case letters and digits only.";
        return name == "data" ? "An extension attribute cannot be named data." : null;
    }

    public static bool IsTimestamp(string value) =>
        value.Length >= 20
        && (value[^1] is 'Z' or 'z' || value[^6] is '+' or '-')
        && DateTimeOffset.TryParseExact(
            Normalize(value), TimeFormats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out _);

    /// <summary>RFC 3339 allows t and z, and any number of digits in a second's fraction; .NET reads T, Z and seven.</summary>
    private static string Normalize(string value)
    {
        var upper = value.ToUpperInvariant();
        var dot = upper.IndexOf('.', StringComparison.Ordinal);
        if (dot < 0)
            return upper;
        var end = dot + 1;
        while (end < upper.Length && char.IsAsciiDigit(upper[end]))
            end++;
        return end == dot + 1 || end - dot <= 8 ? upper : string.Concat(upper.AsSpan(0, dot + 8), upper.AsSpan(end));
    }

    /// <summary>RFC 2046, as strictly as the official SDK reads it.</summary>
    private static bool IsMediaType(string value)
    {
        if (value is MediaTypeNames.Application.Json)
            return true;
        try
        {
            return value.Length > 0 && new ContentType(value).MediaType.Length > 0;
        }
        catch (FormatException)
        {
            return false;
        }
    }

    private static bool IsNoncharacter(int value) => (value & 0xFFFE) == 0xFFFE || value is >= 0xFDD0 and <= 0xFDEF;

    private static bool IsUriReference(string value)
    {
        foreach (var c in value)
            if (c is ' ' or '<' or '>' or '"' or '\\' or '^' or '`' or '{' or '}' or '|')
                return false;
        return Uri.TryCreate(value, UriKind.RelativeOrAbsolute, out _);
    }
}
