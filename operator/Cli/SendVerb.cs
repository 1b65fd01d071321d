using System.CommandLine;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using WebhookOperator.Api;

namespace WebhookOperator.Cli;

/// <summary><c>send</c>: publishes events to a running operator.</summary>
internal static class SendVerb
{
    private const int MostEvents = 100_000;

    /// <summary>Storing an event takes milliseconds; who does not answer has gone.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(250);

    public static Verb Create(Shell shell)
    {
        var command = new Verb("send",
            "Publishes one event, or several alike, and prints what the operator called each, how many deliveries it has, and "
            + "whether it was there already.",
            """send -n acme --type com.acme.order.created --source /shop --data '{"order":1001}'""",
            "send -n acme --type com.acme.order.created --data-file order.json --count 10",
            "send -n acme --type com.acme.order.created --structured --data-file - < order.json",
            "send -n acme --type com.acme.order.created --wait 30s");
        var client = ClientOptions.AddTo(command, shell, "--url");
        var options = new SendOptions(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var template = await options.ReadAsync(parsed, shell, cancellation);
            using var api = client.Connect(parsed, Patience);
            var path = client.NamespacePath(parsed) + "events";
            // The operator's clock may be behind this one.
            var since = shell.Time.GetUtcNow() - TimeSpan.FromMinutes(10);
            var published = new Dictionary<string, int>(StringComparer.Ordinal);
            for (var i = 0; i < options.Count(parsed); i++)
            {
                var next = template with { Id = i == 0 ? template.Id : NewId(shell), Time = shell.Time.GetUtcNow() };
                var answer = await PublishAsync(
                    () => api.SendAsync(
                        options.Structured(parsed) ? CloudEventRequest.Structured(path, next) : CloudEventRequest.Binary(path, next), cancellation),
                    options.Retry(parsed), shell.Time, cancellation);
                var deliveries = (int?)answer["deliveries"] ?? 0;
                published[(string?)answer["id"] ?? ""] = deliveries;
                await shell.Out.WriteLineAsync($"{answer["id"]}  {deliveries} {(deliveries == 1 ? "delivery" : "deliveries")}"
                    + ((bool?)answer["duplicate"] == true ? $"  duplicate of an earlier event with the id {next.Id}" : ""));
            }
            if (options.Wait(parsed) is not { } limit)
                return ExitCode.Ok;
            if (published.Values.Sum() == 0)
                throw new VerbFailedException($"No subscription of the namespace {client.Namespace(parsed)} takes it, so there is nothing to wait for.");
            var wait = new DeliveryWait(api, client.NamespacePath(parsed), shell);
            return await wait.AllDeliveredAsync(published, since, limit, cancellation) ? ExitCode.Ok : ExitCode.Failed;
        });
        return command;
    }

    /// <summary>The same event again, until it is taken: what was stored though the answer was lost is then a duplicate.</summary>
    private static async Task<JsonNode> PublishAsync(
        Func<Task<JsonNode>> publish, TimeSpan limit, TimeProvider time, CancellationToken cancellation)
    {
        var started = time.GetTimestamp();
        while (true)
        {
            try
            {
                return await publish();
            }
            catch (VerbFailedException e) when (e.Transient && time.GetElapsedTime(started) < limit)
            {
                await Task.Delay(RetryPause, time, cancellation);
            }
        }
    }

    private static string NewId(Shell shell) => Guid.CreateVersion7(shell.Time.GetUtcNow()).ToString();

    /// <summary>What an event is made of, and the checks on it.</summary>
    private sealed class SendOptions
    {
        private readonly Option<string> _type = new("--type")
        {
            HelpName = "TYPE", Required = true, Description = "The event's type, such as com.acme.order.created.",
        };

        private readonly Option<string> _source = new("--source")
        {
            HelpName = "URI", Description = "Where it happened.",
            DefaultValueFactory = _ => "/webhook-operator/send",
        };

        private readonly Option<string> _id = new("--id")
        {
            HelpName = "ID", Description = "The event's id; the same source and id again is a duplicate. Default: a new one.",
        };

        private readonly Option<string> _subject = new("--subject") { HelpName = "TEXT", Description = "What it is about." };

        private readonly Option<string> _data = new("--data") { HelpName = "JSON", Description = "The event's data." };

        private readonly Option<string> _dataFile = new("--data-file")
        {
            HelpName = "FILE", Description = "The event's data from a file; - reads standard input.",
        };

        private readonly Option<string> _contentType = new("--content-type")
        {
            HelpName = "TYPE", Description = "Of the data.", DefaultValueFactory = _ => "application/json",
        };

        private readonly Option<bool> _structured = new("--structured")
        {
            Description = "Send one JSON object (structured mode) instead of ce-* headers and the data as body (binary mode).",
        };

        private readonly Option<int> _count = NumberOption.Create(
            "--count", "N", "Publish so many, each with an id of its own.", 1, MostEvents, 1);

        private readonly Option<string> _retry = new("--retry")
        {
            HelpName = "DURATION", Description = "Try each event again for so long where the operator can't be reached, or is not "
                + "ready or full. Default: not at all.",
        };

        private readonly Option<string> _wait = new("--wait")
        {
            HelpName = "DURATION", Description = "Wait so long for the deliveries to reach their end; exit code 1 if not all were "
                + "delivered, or if there are none. Default: only publish.",
        };

        public SendOptions(Verb command)
        {
            foreach (var option in (Option[])[_type, _source, _id, _subject, _data, _dataFile, _contentType, _structured, _count, _retry, _wait])
                command.Add(option);
            command.Check(Faults);
        }

        public int Count(ParseResult parsed) => parsed.GetValue(_count);

        public TimeSpan Retry(ParseResult parsed) => Duration(parsed.GetValue(_retry)) ?? TimeSpan.Zero;

        public TimeSpan? Wait(ParseResult parsed) => Duration(parsed.GetValue(_wait));

        public bool Structured(ParseResult parsed) => parsed.GetValue(_structured);

        public async Task<OutgoingEvent> ReadAsync(ParseResult parsed, Shell shell, CancellationToken cancellation)
        {
            var contentType = parsed.GetValue(_contentType)!;
            var (origin, data) = parsed.GetValue(_dataFile) is { } file
                ? ($"--data-file {file}", await ReadFileAsync(file, shell, cancellation))
                : ("--data", parsed.GetValue(_data) is { } text ? Encoding.UTF8.GetBytes(text) : null);
            var template = new OutgoingEvent(
                parsed.GetValue(_id) ?? NewId(shell), parsed.GetValue(_source)!, parsed.GetValue(_type)!,
                parsed.GetValue(_subject), shell.Time.GetUtcNow(), contentType, data);
            if (template.DataIsJson && data is not null && Fault(data) is { } fault)
                throw new VerbFailedException($"{origin} is not JSON: {fault} (For other data, name its --content-type.)");
            return template;
        }

        private IEnumerable<string> Faults(TypedText typed)
        {
            if (typed.Of(_count) is { } count && count != "1" && typed.Has(_id))
                yield return "--id names one event; leave it out with --count, and each event gets an id of its own.";
            if (typed.Has(_data) && typed.Has(_dataFile))
                yield return "--data and --data-file both give the data; use one of them.";
            foreach (var option in (Option<string>[])[_retry, _wait])
                if (typed.Of(option) is { } text && Duration(text) is null)
                    yield return $"{option.Name}: \"{text}\" is no duration; write for how long, for example 30s or 2m.";
            if (typed.Of(_dataFile) is { } file && file != "-" && !File.Exists(file))
                yield return $"--data-file: there is no file \"{file}\".";
        }

        private static TimeSpan? Duration(string? text) => KubeDuration.TryParse(text, out var duration) ? duration : null;

        private static async Task<byte[]> ReadFileAsync(string file, Shell shell, CancellationToken cancellation)
        {
            if (file == "-")
                return Encoding.UTF8.GetBytes(await shell.In.ReadToEndAsync(cancellation));
            try
            {
                return await File.ReadAllBytesAsync(file, cancellation);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new VerbFailedException($"--data-file {file} can't be read: {e.Message}");
            }
        }

        private static string? Fault(byte[] json)
        {
            try
            {
                JsonDocument.Parse(json).Dispose();
                return null;
            }
            catch (JsonException e)
            {
                return e.Message;
            }
        }
    }
}
