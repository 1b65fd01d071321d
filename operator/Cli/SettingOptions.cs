using System.Collections.Immutable;
using System.CommandLine;

namespace WebhookOperator.Cli;

/// <summary>The settings as options of a verb, and the way back from what was typed to <see cref="Settings"/>.</summary>
internal sealed class SettingOptions
{
    private readonly ImmutableArray<(Setting Setting, Option Option)> _options;

    private SettingOptions(ImmutableArray<(Setting, Option)> options) => _options = options;

    public static SettingOptions AddTo(Command command, IEnumerable<Setting> settings)
    {
        var options = settings.Select(setting => (setting, ToOption(setting))).ToImmutableArray();
        foreach (var (_, option) in options)
            command.Add(option);
        return new SettingOptions(options);
    }

    public Option this[Setting setting] => _options.First(option => option.Setting == setting).Option;

    /// <summary>What was typed, by flag.</summary>
    public Dictionary<string, IReadOnlyList<string>> Typed(TypedText typed)
    {
        var byFlag = new Dictionary<string, IReadOnlyList<string>>();
        foreach (var (setting, option) in _options)
        {
            if (typed.Has(option))
                byFlag[setting.Flag] = typed.All(option) is { Count: > 0 } values ? values : setting.IsSwitch ? ["true"] : [];
        }
        return byFlag;
    }

    private static Option ToOption(Setting setting)
    {
        var description = $"{setting.Description} [{setting.Variable}]";
        // Arity is open so that a flag given twice is told together with all other faults.
        return setting.IsSwitch
            ? new Option<bool>(setting.Flag) { Description = description }
            : new Option<string[]>(setting.Flag)
            {
                Description = description, HelpName = setting.Placeholder, Arity = ArgumentArity.OneOrMore,
            };
    }
}
