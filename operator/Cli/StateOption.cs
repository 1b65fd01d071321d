using System.CommandLine;

namespace WebhookOperator.Cli;

/// <summary>The states of deliveries as people type them: in any case.</summary>
internal static class StateOption
{
    public static Option<string[]> AddTo(Verb command, string description, bool repeatable, params string[] states)
    {
        var option = new Option<string[]>("--state") { HelpName = string.Join('|', states), Description = description };
        option.CompletionSources.Add(states);
        command.Add(option);
        command.Check(typed => Faults(typed, option, states));
        if (!repeatable)
            command.Check(typed => typed.All(option).Count > 1 ? ["--state can be given once."] : []);
        return option;
    }

    private static IEnumerable<string> Faults(TypedText typed, Option<string[]> option, string[] states) =>
        from text in typed.All(option)
        where !states.Contains(text, StringComparer.OrdinalIgnoreCase)
        select $"--state: \"{text}\" is no state; it must be one of {string.Join(", ", states)}.";
}
