using System.CommandLine;
using System.Text.Json.Nodes;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Cli;

/// <summary><c>replay</c>: sends finished deliveries again.</summary>
internal static class ReplayVerb
{
    public static Verb Create(Shell shell)
    {
        var command = new Verb("replay",
            "Sends deliveries again that have reached their end: those of a subscription that the options select, by default all "
            + "dead ones; or one delivery, whatever its state.",
            "replay -n acme orders --since 168h", "replay -n acme orders --state delivered --type 'com.acme.order.*' --since 1h",
            "replay -n acme dlv_06dpx2e0g0001");
        var what = new Argument<string>("subscription|delivery") { Description = "A subscription's name, or a delivery's id (dlv_…)." };
        var since = TimeOption.Create("--since", "Only of events accepted since; a time, or so long ago.");
        var until = TimeOption.Create("--until", "Only of events accepted before.");
        var types = new Option<string[]>("--type")
        {
            HelpName = "TYPE", Description = "Only events of this type, or of a prefix that ends in *; repeatable.",
        };
        var states = StateOption.AddTo(
            command, "Only deliveries that ended so; repeatable. Default: dead.", repeatable: true, "dead", "delivered");
        command.Add(what);
        foreach (var option in (Option[])[since, until, types])
            command.Add(option);
        var client = ClientOptions.AddTo(command, shell);
        command.Check(typed => TimeOption.Faults(typed, since, until, shell.Time));
        command.Check(typed =>
            DeliveryId.TryParse(typed.Of(what), out _)
            && ((Option[])[since, until, types, states]).Any(typed.Has)
                ? ["--since, --until, --type and --state select from a subscription's deliveries; a delivery's id selects that one alone."]
                : []);
        command.SetAction(async (parsed, cancellation) =>
        {
            using var api = client.Connect(parsed);
            if (DeliveryId.TryParse(parsed.GetValue(what), out var id))
            {
                await api.PostAsync($"{client.NamespacePath(parsed)}deliveries/{id}/redeliver", null, cancellation);
                await shell.Out.WriteLineAsync($"{id} is due now.");
                return ExitCode.Ok;
            }
            var subscription = Uri.EscapeDataString(parsed.GetValue(what)!);
            var answer = await api.PostAsync(
                $"{client.NamespacePath(parsed)}subscriptions/{subscription}/replay", Query(parsed), cancellation);
            var count = (long?)answer["deliveries"];
            await shell.Out.WriteLineAsync(count == 1 ? "1 delivery is due now." : $"{count} deliveries are due now.");
            return ExitCode.Ok;
        });
        return command;

        JsonObject Query(ParseResult parsed)
        {
            var query = new JsonObject { ["states"] = Array(parsed.GetValue(states) is { Length: > 0 } given ? given : ["dead"]) };
            if (TimeOption.Read(parsed, since, shell.Time) is { } from)
                query["since"] = from;
            if (TimeOption.Read(parsed, until, shell.Time) is { } to)
                query["until"] = to;
            if (parsed.GetValue(types) is { Length: > 0 } only)
                query["types"] = Array(only);
            return query;
        }
    }

    private static JsonArray Array(string[] words) => [.. words.Select(word => (JsonNode)word)];
}
