using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace WebhookOperator.Cli;

/// <summary>A verb of the program, with examples under its help.</summary>
/// <param name="name">As typed.</param>
/// <param name="description">For the help.</param>
/// <param name="examples">Whole command lines, without the program's name in front.</param>
internal sealed class Verb(string name, string description, params string[] examples) : Command(name, description)
{
    private readonly List<Func<TypedText, IEnumerable<string>>> _checks = [];

    public IReadOnlyList<string> Examples => examples;

    /// <summary>
    /// Adds a check on options and arguments. Unlike validators, it runs whatever else is wrong, so that all
    /// faults are told at once.
    /// </summary>
    public void Check(Func<TypedText, IEnumerable<string>> faults) => _checks.Add(faults);

    public IEnumerable<string> Faults(TypedText typed) => _checks.SelectMany(check => check(typed));
}

/// <summary>The usual help, and the verb's examples under it.</summary>
internal sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        usual.Invoke(parseResult);
        if (parseResult.CommandResult.Command is Verb { Examples: { Count: > 0 } examples })
        {
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine(examples.Count > 1 ? "Examples:" : "Example:");
            foreach (var example in examples)
                output.WriteLine($"  {CommandLine.Program} {example}");
            output.WriteLine();
        }
        return ExitCode.Ok;
    }
}
