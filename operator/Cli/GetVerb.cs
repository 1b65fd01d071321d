using System.CommandLine;
using System.Text.Json.Nodes;
using k8s;
using WebhookOperator.Api;

namespace WebhookOperator.Cli;

/// <summary><c>get</c>: subscriptions and their status.</summary>
internal static class GetVerb
{
    public static Verb Create(Shell shell)
    {
        var command = new Verb("get",
            "Shows the subscriptions of a namespace, or one of them: where they send to, whether they are ready, whether the "
            + "circuit is closed, and what is pending.",
            "get -n acme", "get -n acme orders -o yaml");
        var name = new Argument<string>("name")
        {
            Arity = ArgumentArity.ZeroOrOne, Description = "One subscription. Default: all of the namespace.",
        };
        command.Add(name);
        var client = ClientOptions.AddTo(command, shell);
        var output = OutputFormat.AddTo(command, "wide", "json", "yaml");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var api = client.Connect(parsed);
            var path = client.NamespacePath(parsed) + "subscriptions";
            if (parsed.GetValue(name) is { } one)
                path += "/" + Uri.EscapeDataString(one);
            var answer = await api.GetAsync(path, cancellation);
            if (!OutputFormat.TryWrite(parsed.GetValue(output), answer, shell.Out))
                WriteTable(answer, parsed.GetValue(output) == "wide", client.Namespace(parsed), shell);
            return ExitCode.Ok;
        });
        return command;
    }

    private static void WriteTable(JsonNode answer, bool wide, string @namespace, Shell shell)
    {
        var table = new TextTable(wide ? SubscriptionTable.WideHeads : SubscriptionTable.Heads);
        foreach (var subscription in Subscriptions(answer))
        {
            table.Add(wide ? SubscriptionTable.WideRow(subscription, shell.Time) : SubscriptionTable.Row(subscription, shell.Time));
        }
        if (table.Count > 0)
            table.Write(shell.Out);
        else
            shell.Error.WriteLine($"There are no subscriptions in the namespace {@namespace}.");
    }

    /// <summary>Of a list, or the one that was answered.</summary>
    public static IEnumerable<WebhookSubscription> Subscriptions(JsonNode answer) =>
        (answer["items"] is JsonArray items ? items.OfType<JsonNode>() : [answer])
        .Select(item => KubernetesJson.Deserialize<WebhookSubscription>(item.ToJsonString()));
}
