using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Api.Schema;

internal enum ScalarKind { Null, Boolean, Integer, Float, String }

/// <summary>
/// What a scalar means to kubectl and every other client in Go, which read YAML 1.1: a plain <c>yes</c>,
/// <c>off</c> or <c>n</c> is a boolean, <c>010</c> is the number 8. Reading them otherwise here would pass
/// manifests that a cluster refuses.
/// </summary>
internal readonly partial record struct YamlScalar(ScalarKind Kind, string Text, bool Boolean, long Integer)
{
    private const string TagPrefix = "tag:yaml.org,2002:";

    public static YamlScalar Of(YamlScalarNode node)
    {
        var text = node.Value ?? "";
        var tag = node.Tag.IsEmpty || node.Tag.IsNonSpecific ? "" : node.Tag.Value;
        if (tag == TagPrefix + "str" || (tag.Length == 0 && node.Style is not (ScalarStyle.Plain or ScalarStyle.Any)))
            return String(text);
        return text switch
        {
            "" or "~" or "null" or "Null" or "NULL" => new YamlScalar(ScalarKind.Null, text, false, 0),
            "y" or "Y" or "yes" or "Yes" or "YES" or "true" or "True" or "TRUE" or "on" or "On" or "ON" =>
                new YamlScalar(ScalarKind.Boolean, text, true, 0),
            "n" or "N" or "no" or "No" or "NO" or "false" or "False" or "FALSE" or "off" or "Off" or "OFF" =>
                new YamlScalar(ScalarKind.Boolean, text, false, 0),
            _ when TryInteger(text, out var integer) => new YamlScalar(ScalarKind.Integer, text, false, integer),
            _ when FloatForm().IsMatch(text) => new YamlScalar(ScalarKind.Float, text, false, 0),
            _ => String(text),
        };
    }

    /// <summary>In words, for messages.</summary>
    public string KindName => Kind switch
    {
        ScalarKind.Null => "null",
        ScalarKind.Boolean => "a boolean",
        ScalarKind.Integer => "a number",
        ScalarKind.Float => "a number",
        _ => "a string",
    };

    private static YamlScalar String(string text) => new(ScalarKind.String, text, false, 0);

    private static bool TryInteger(string text, out long integer)
    {
        integer = 0;
        if (text[0] is not ('+' or '-' or (>= '0' and <= '9')))
            return false;
        var digits = text.Replace("_", "", StringComparison.Ordinal).AsSpan();
        var negative = digits is ['-', ..];
        if (digits is ['-' or '+', ..])
            digits = digits[1..];
        var (radix, prefix) = digits switch
        {
            ['0', 'x' or 'X', ..] => (16, 2),
            ['0', 'o' or 'O', ..] => (8, 2),
            ['0', 'b' or 'B', ..] => (2, 2),
            ['0', _, ..] => (8, 1),
            _ => (10, 0),
        };
        digits = digits[prefix..];
        if (digits.IsEmpty)
            return false;
        Int128 value = 0;
        foreach (var c in digits)
        {
            var digit = char.IsAsciiHexDigit(c) ? Convert.FromHexString(['0', c])[0] : radix;
            if (digit >= radix)
                return false;
            value = value * radix + digit;
            if (value > (Int128)long.MaxValue + 1)
                return false;
        }
        value = negative ? -value : value;
        if (value > long.MaxValue)
            return false;
        integer = (long)value;
        return true;
    }

    [GeneratedRegex(@"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\z")]
    private static partial Regex FloatForm();
}
