using System.CommandLine;
using System.Globalization;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Cli;

/// <summary><c>deliveries</c>: the delivery log of a subscription, or one delivery with all its attempts.</summary>
internal static class DeliveriesVerb
{
    public static Verb Create(Shell shell)
    {
        var command = new Verb("deliveries",
            "Shows the delivery log of a subscription, newest first; or one delivery with each of its attempts.",
            "deliveries -n acme orders --state dead --since 168h", "deliveries -n acme dlv_06dpx2e0g0001");
        var what = new Argument<string>("subscription|delivery") { Description = "A subscription's name, or a delivery's id (dlv_…)." };
        var state = StateOption.AddTo(
            command, "Only deliveries in this state.", repeatable: false, "pending", "delivered", "dead", "cancelled");
        var since = TimeOption.Create("--since", "Only of events accepted since; a time, or so long ago.");
        var limit = NumberOption.Create("--limit", "N", "At most so many.", 1, 500, 50);
        var next = new Option<string>("--continue") { HelpName = "ID", Description = "Continue after this delivery of an earlier page." };
        command.Add(what);
        foreach (var option in (Option[])[since, limit, next])
            command.Add(option);
        var client = ClientOptions.AddTo(command, shell);
        var output = OutputFormat.AddTo(command, "json", "yaml");
        command.Check(typed => TimeOption.Faults(typed, since, shell.Time));
        command.SetAction(async (parsed, cancellation) =>
        {
            using var api = client.Connect(parsed);
            var one = DeliveryId.TryParse(parsed.GetValue(what), out var id);
            var answer = await api.GetAsync(client.NamespacePath(parsed) + (one ? $"deliveries/{id}" : LogPath(parsed)), cancellation);
            if (OutputFormat.TryWrite(parsed.GetValue(output), answer, shell.Out))
                return ExitCode.Ok;
            if (one)
                DeliveryText.WriteOne(answer, shell.Out);
            else
                DeliveryText.WriteLog(answer, shell);
            return ExitCode.Ok;
        });
        return command;

        string LogPath(ParseResult parsed)
        {
            var query = Invariant($"?limit={parsed.GetValue(limit)}");
            if (parsed.GetValue(state) is [var only])
                query += "&state=" + only;
            if (TimeOption.Read(parsed, since, shell.Time) is { } from)
                query += "&since=" + Uri.EscapeDataString(from);
            if (parsed.GetValue(next) is { } after)
                query += "&continue=" + Uri.EscapeDataString(after);
            return $"subscriptions/{Uri.EscapeDataString(parsed.GetValue(what)!)}/deliveries{query}";
        }
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
