using System.CommandLine;
using System.CommandLine.Parsing;

namespace WebhookOperator.Cli;

/// <summary>The states of deliveries as people type them: in any case.</summary>
internal static class StateOption
{
    public static Option<string[]> AddTo(Verb command, string description, bool repeatable, params string[] states)
    {
        var option = new Option<string[]>("--state") { HelpName = string.Join('|', states), Description = description };
        option.CompletionSources.Add(states);
        command.Add(option);
        command.Check(result => Faults(result, option, states));
        if (!repeatable)
            command.Check(result => result.GetResult(option) is { Tokens.Count: > 1 } ? ["--state can be given once."] : []);
        return option;
    }

    private static IEnumerable<string> Faults(CommandResult result, Option<string[]> option, string[] states) =>
        from token in result.GetResult(option)?.Tokens ?? []
        where !states.Contains(token.Value, StringComparer.OrdinalIgnoreCase)
        select $"--state: \"{token.Value}\" is no state; it must be one of {string.Join(", ", states)}.";
}
