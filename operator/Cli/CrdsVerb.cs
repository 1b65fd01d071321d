using System.CommandLine;
using WebhookOperator.Api.Schema;

namespace WebhookOperator.Cli;

/// <summary><c>crds</c>: the CustomResourceDefinitions, ready for kubectl.</summary>
internal static class CrdsVerb
{
    public static Command Create(Shell shell)
    {
        var command = new Command("crds", "Prints the CustomResourceDefinitions as YAML.\n\n"
            + $"Example:\n  {CommandLine.Program} crds | kubectl apply --server-side -f -");
        command.SetAction(_ =>
        {
            foreach (var (_, yaml) in Crds.All)
            {
                if (!yaml.StartsWith("---", StringComparison.Ordinal))
                    shell.Out.Write("---\n");
                shell.Out.Write(yaml.EndsWith('\n') ? yaml : yaml + "\n");
            }
            return ExitCode.Ok;
        });
        return command;
    }
}
