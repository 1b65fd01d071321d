using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Cli;

/// <summary>The verbs of the program, and what they have in common: faults told at once, exit codes, help.</summary>
internal static class CommandLine
{
    public const string Program = "webhook-operator";

    /// <summary>In the order of the help.</summary>
    public static ImmutableArray<Verb> Verbs(Shell shell) =>
    [
        RunVerb.Create(shell), DemoVerb.Create(shell), ValidateVerb.Create(shell), SendVerb.Create(shell),
        ListenVerb.Create(shell), GetVerb.Create(shell), DeliveriesVerb.Create(shell), ReplayVerb.Create(shell),
        CrdsVerb.Create(shell),
    ];

    /// <param name="args">Without the program's name.</param>
    /// <param name="shell">What the verbs read and write.</param>
    /// <param name="cancellation">Ctrl-C: verbs that run until stopped then end well.</param>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, Shell shell, CancellationToken cancellation)
    {
        var root = new RootCommand(
            "Outbound webhooks: stores the events that apps publish and delivers them, signed, to every subscription that "
            + "matches, with durable retries.\n\n"
            + $"Start here:\n  {Program} demo\n  {Program} run --manifests config/samples --allow-http --allow-cidr 127.0.0.0/8");
        foreach (var verb in Verbs(shell))
            root.Add(verb);
        var help = root.Options.OfType<HelpOption>().Single();
        var showHelp = new HelpWithExamples((HelpAction)help.Action!);
        help.Action = showHelp;
        root.SetAction(parsed =>
        {
            showHelp.Invoke(parsed);
            return ExitCode.Usage;
        });
        // Without '@file' arguments: event types and names may well begin with an @.
        var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        var faults = parsed.Errors.Select(error => error.Message).ToList();
        if (parsed.Action != showHelp && parsed.CommandResult.Command is Verb chosen)
            faults.AddRange(chosen.Faults(new TypedText(parsed.CommandResult)));
        if (faults.Count > 0)
        {
            foreach (var message in faults.Distinct())
                await shell.Error.WriteLineAsync($"{Program}: {message}");
            await shell.Error.WriteLineAsync($"Try '{NameOf(parsed.CommandResult)} --help'.");
            return ExitCode.Usage;
        }
        try
        {
            var output = new InvocationConfiguration
            {
                Output = shell.Out, Error = shell.Error, EnableDefaultExceptionHandler = false,
                // Signals come in through the token, so that a verb may take the time it needs to end well.
                ProcessTerminationTimeout = null,
            };
            return await parsed.InvokeAsync(output, cancellation);
        }
        catch (Exception e) when (e is VerbFailedException or StoreOpenException)
        {
            await shell.Error.WriteLineAsync($"{Program}: {e.Message}");
            return ExitCode.Failed;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return ExitCode.Failed;
        }
    }

    private static string NameOf(CommandResult command) =>
        command.Command is RootCommand ? Program : $"{Program} {command.Command.Name}";
}
