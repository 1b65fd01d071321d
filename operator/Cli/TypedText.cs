using System.CommandLine;
using System.CommandLine.Parsing;

namespace WebhookOperator.Cli;

/// <summary>
/// What stands behind the options and arguments of a command line, for checks: it can be read whatever is wrong
/// with them, where the parser's own <c>GetValue</c> throws.
/// </summary>
internal sealed class TypedText(CommandResult result)
{
    public bool Has(Option option) => result.GetResult(option) is { Implicit: false };

    /// <summary>Null where the option was not given, or not once with one value; the parser tells the latter.</summary>
    public string? Of(Option option) => All(option) is [var only] ? only : null;

    /// <inheritdoc cref="Of(Option)"/>
    public string? Of(Argument argument) => result.GetResult(argument) is { Implicit: false, Tokens: [var only] } ? only.Value : null;

    /// <summary>In order; empty where the option was not given, or without a value.</summary>
    public IReadOnlyList<string> All(Option option) =>
        result.GetResult(option) is { Implicit: false } given ? [.. given.Tokens.Select(token => token.Value)] : [];
}
