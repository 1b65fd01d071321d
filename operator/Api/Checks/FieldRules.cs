using System.Text.RegularExpressions;
using WebhookOperator.Engine.Http;

namespace WebhookOperator.Api.Checks;

/// <summary>Rules that fields of several places share. Absent fields break none.</summary>
internal static partial class FieldRules
{
    /// <summary>The bounds are written as the resource would write them, such as <c>1s</c>.</summary>
    public static void CheckDuration(
        this List<FieldFault> faults, string field, string? value, string minimum, string maximum, string example)
    {
        if (value is null)
            return;
        if (!KubeDuration.TryParse(value, out var duration)
            || duration < KubeDuration.Parse(minimum) || duration > KubeDuration.Parse(maximum))
            faults.Add(new(field, $"must be a duration from {minimum} to {maximum}, such as {example}"));
    }

    public static void CheckUrl(
        this List<FieldFault> faults, string field, string? url, string example, string credentialsBelong)
    {
        if (url is null)
            return;
        if (!AbsoluteHttpUrl().IsMatch(url) || !Uri.TryCreate(url, UriKind.Absolute, out _))
            faults.Add(new(field, $"must be an absolute http or https URL, such as {example}"));
        if (UserInfo().IsMatch(url))
            faults.Add(new(field, $"must not hold a user name or password; {credentialsBelong}"));
        if (url.Contains('#', StringComparison.Ordinal))
            faults.Add(new(field, "must not have a fragment (the part from # on); it would never be sent"));
    }

    public static void CheckHeaderName(this List<FieldFault> faults, string field, string? name)
    {
        if (name is null)
            return;
        if (ReservedHeaders.Contains(name))
            faults.Add(new(field,
                "must be a header of your own; webhook-*, ce-*, content-type, user-agent, traceparent and those of "
                + "the connection are set by the operator"));
    }

    public static void CheckPrefixes(this List<FieldFault> faults, string field, IReadOnlyList<string>? patterns, string example)
    {
        for (var i = 0; i < patterns?.Count; i++)
        {
            var star = patterns[i].IndexOf('*', StringComparison.Ordinal);
            if (star >= 0 && star != patterns[i].Length - 1)
                faults.Add(new($"{field}[{i}]", $"must have * at its end only, as in {example}"));
        }
    }

    [GeneratedRegex(@"^https?://[^/?#\s\0-\x1f\x7f]+(/([^?#\s%\0-\x1f\x7f]|%[0-9A-Fa-f]{2})*)?([?#][^\s\0-\x1f\x7f]*)?\z")]
    private static partial Regex AbsoluteHttpUrl();

    [GeneratedRegex(@"^[^/?#]*//[^/?#]*@")]
    private static partial Regex UserInfo();
}
