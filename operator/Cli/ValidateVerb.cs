using System.CommandLine;

namespace WebhookOperator.Cli;

/// <summary><c>validate</c>: the reconciler's checks on manifests, without a cluster or a running operator.</summary>
internal static class ValidateVerb
{
    public static Verb Create(Shell shell)
    {
        var command = new Verb("validate",
            "Checks manifests as the operator would, and prints each fault with its file, line and column. Exit code 0 says that "
            + "there is none, so it can guard a pipeline.",
            "validate config/samples", "validate - < subscription.yaml");
        var paths = new Argument<string[]>("file")
        {
            Arity = ArgumentArity.OneOrMore, Description = "Files, folders (all *.yaml, *.yml and *.json below), or - for standard input.",
        };
        command.Add(paths);
        command.SetAction(parsed => Validation.Run(parsed.GetValue(paths)!, shell.In, shell.Out, shell.Time));
        return command;
    }
}
