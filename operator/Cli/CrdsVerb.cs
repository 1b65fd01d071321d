using WebhookOperator.Api.Schema;

namespace WebhookOperator.Cli;

/// <summary><c>crds</c>: the CustomResourceDefinitions, ready for kubectl.</summary>
internal static class CrdsVerb
{
    public static Verb Create(Shell shell)
    {
        var command = new Verb(
            "crds", "Prints the CustomResourceDefinitions as YAML.", "crds | kubectl apply --server-side -f -");
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
