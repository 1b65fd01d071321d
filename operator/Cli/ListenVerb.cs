using System.CommandLine;
using System.Net;

namespace WebhookOperator.Cli;

/// <summary><c>listen</c>: a receiver that verifies signatures and prints what arrives.</summary>
internal static class ListenVerb
{
    public static Verb Create(Shell shell)
    {
        var command = new Verb("listen",
            "Receives webhooks, verifies their signatures and prints them, until Ctrl-C. A request whose signature "
            + "does not hold is answered with 401.",
            "listen --secret whsec_ZXhhbXBsZSBzZWNyZXQgb2YgdGhlIHNhbXBsZXMsIHJlcGxhY2U=", "listen --port 9912 --status 503");
        var address = new Option<string>("--address")
        {
            HelpName = "ADDRESS", Description = "Where to listen; 0.0.0.0 for all of this machine's addresses.", DefaultValueFactory = _ => "127.0.0.1",
        };
        var port = NumberOption.Create("--port", "PORT", "0 takes a free one.", 0, 65535, 9911);
        var secrets = new Option<string[]>("--secret")
        {
            HelpName = "whsec_…|whpk_…", Description = "A secret or public key to verify with; repeatable, one of them must fit. "
                + "Default: none, and nothing is verified.",
        };
        var status = NumberOption.Create("--status", "CODE", "What to answer.", 200, 599, 200);
        var count = NumberOption.Create(
            "--count", "N", "End after so many requests, with exit code 0 if no signature failed. Default: go on.", 1, int.MaxValue, null);
        foreach (var option in (Option[])[address, port, secrets, status, count])
            command.Add(option);
        command.Check(typed => typed.All(secrets).SelectMany(Faults));
        command.Check(typed => typed.Of(address) is not { } text || IPAddress.TryParse(text, out _) ? []
            : [$"--address: \"{text}\" is no address; write 127.0.0.1, or 0.0.0.0 for all."]);
        command.SetAction(async (parsed, cancellation) =>
        {
            var check = parsed.GetValue(secrets) is { Length: > 0 } keys ? new SignatureCheck(keys) : null;
            var log = new ListenLog(check, parsed.GetValue(status), parsed.GetValue(count), shell);
            await using var receiver = await Receiver.StartAsync(
                IPAddress.Parse(parsed.GetValue(address)!), parsed.GetValue(port), log.Answer, cancellation);
            shell.Out.WriteLine($"Listening on {receiver.Url}. Ctrl-C stops."
                + (check is null ? " Nothing is verified; give a --secret for that." : ""));
            await shell.Out.FlushAsync(cancellation);
            await log.WaitAsync(cancellation);
            return log.AllVerified ? ExitCode.Ok : ExitCode.Failed;
        });
        return command;
    }

    /// <summary>Never shows the secret.</summary>
    private static IEnumerable<string> Faults(string secret)
    {
        if (SignatureCheck.FaultOf(secret) is { } fault)
            yield return $"--secret: the key {fault}.";
    }
}
