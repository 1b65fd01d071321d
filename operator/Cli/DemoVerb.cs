using System.Collections.Immutable;
using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Security.Cryptography;
using System.Threading.Channels;
using Spectre.Console;
using WebhookOperator.Cli.Demo;
using WebhookOperator.Engine.Delivery;

namespace WebhookOperator.Cli;

/// <summary><c>demo</c>: the operator in local mode, receivers good and bad, and events, all in one process.</summary>
internal static class DemoVerb
{
    private const string SamplePrefix = "samples/";

    /// <summary>Far more than it takes; a demo that hangs must fail.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    public static Verb Create(Shell shell)
    {
        var command = new Verb("demo",
            "Runs the operator in local mode on the sample subscriptions, publishes events, and shows each delivery: one receiver "
            + $"is healthy, one is down for the first {DemoReceiver.Outage.TotalSeconds:0} seconds, one is dead. The receivers verify "
            + "every signature. Exit code 0 says that everything arrived that should.",
            "demo", "demo --exit");
        var exit = new Option<bool>("--exit")
        {
            Description = "End once every delivery has reached its end, instead of at Ctrl-C.",
        };
        command.Add(exit);
        var options = SettingOptions.AddTo(
            command, [Setting.Manifests, Setting.Store, Setting.Listen, Setting.Metrics, Setting.LogLevel]);
        command.Check(typed => Read(options, typed, Path.GetTempPath()).Faults);
        command.SetAction(async (parsed, cancellation) =>
        {
            var folder = Directory.CreateTempSubdirectory("webhook-operator-demo-").FullName;
            try
            {
                var typed = new TypedText(parsed.CommandResult);
                var samples = !typed.Has(options[Setting.Manifests]);
                var settings = Read(options, typed, folder).Settings
                    ?? throw new InvalidOperationException("Settings with faults have passed the check.");
                return await RunAsync(settings, samples ? folder : null, parsed.GetValue(exit), shell, cancellation);
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
        });
        return command;
    }

    /// <summary>What was typed, and for the rest what suits a demo; the environment's variables are meant for <c>run</c>.</summary>
    private static SettingsOrFaults Read(SettingOptions options, TypedText typed, string folder)
    {
        var flags = options.Typed(typed);
        flags.TryAdd(Setting.Manifests.Flag, [folder]);
        flags.TryAdd(Setting.Store.Flag, ["sqlite:" + Path.Combine(folder, "demo.db")]);
        flags.TryAdd(Setting.Listen.Flag, [FreeOr(Settings.DefaultListen)]);
        flags.TryAdd(Setting.Metrics.Flag, [FreeOr(Settings.DefaultMetrics)]);
        flags.TryAdd(Setting.LogLevel.Flag, ["error"]);
        flags[Setting.AllowHttp.Flag] = ["true"];
        flags[Setting.AllowCidr.Flag] = ["127.0.0.0/8"];
        return Settings.Parse(flags, ImmutableDictionary<string, string>.Empty);
    }

    /// <param name="settings">Of the operator.</param>
    /// <param name="sampleFolder">Where to put the samples; null where the manifests are the caller's own.</param>
    /// <param name="exit">Do not wait for Ctrl-C.</param>
    /// <param name="shell">Where to show.</param>
    /// <param name="cancellation">Ctrl-C.</param>
    private static async Task<int> RunAsync(
        Settings settings, string? sampleFolder, bool exit, Shell shell, CancellationToken cancellation)
    {
        var samples = sampleFolder is not null;
        var receiver = new DemoReceiver(shell.Time);
        await using var server = await Receiver.StartAsync(
            IPAddress.Loopback, samples && !IsFree(DemoReceiver.Port) ? 0 : DemoReceiver.Port, receiver.Answer, cancellation);
        var deadPort = samples && !IsFree(DemoReceiver.DeadPort) ? ClosedPort() : DemoReceiver.DeadPort;
        if (sampleFolder is not null)
            WriteSamples(sampleFolder, server.Url.Port, deadPort);
        var reports = Channel.CreateUnbounded<AttemptReport>(new UnboundedChannelOptions { SingleReader = true });
        await using var running = await shell.LaunchAsync(settings, report => reports.Writer.TryWrite(report), cancellation);
        receiver.Use(DemoKeys.Read(settings.StatePath, server.Url, shell.Time.GetUtcNow()));
        using var api = new ApiClient(running.Api, null);

        IDemoScreen screen = shell.OutIsTerminal ? new LiveScreen(AnsiConsole.Console, shell.Time) : new PlainScreen(shell.Out, shell.Time);
        foreach (var line in Introduction(running, deadPort, exit, shell))
            screen.Line(line);
        var run = new DemoRun(api, receiver, server.Url, reports.Reader, screen, shell.Time);
        var events = DemoEvents.Create(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(3)), shell.Time.GetUtcNow());
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (exit)
            end.CancelAfter(Deadline);
        await run.PlayAsync(events, exit, end.Token);

        foreach (var line in run.Summary())
            screen.Line(line);
        var faults = run.Faults(events, samples);
        foreach (var fault in faults)
            screen.Line("  wrong: " + fault, Tone.Bad);
        screen.Line(faults.Count == 0 ? "Everything arrived that should." : "Not everything arrived that should.",
            faults.Count == 0 ? Tone.Good : Tone.Bad);
        foreach (var line in Next(shell))
            screen.Line(line);
        return faults.Count == 0 ? ExitCode.Ok : ExitCode.Failed;
    }

    private static IEnumerable<string> Introduction(RunningOperator running, int deadPort, bool exit, Shell shell)
    {
        yield return $"The operator runs: API {running.Api}, metrics {new Uri(running.Metrics, "metrics")}";
        yield return $"Receivers: /orders is healthy, /invoices is down for the first {DemoReceiver.Outage.TotalSeconds:0} s, "
            + $"nobody listens on port {deadPort}.";
        if (exit)
            yield break;
        var server = running.Api == new Uri(Settings.DefaultListen) ? "" : $" --server {running.Api}";
        yield return "Ctrl-C ends. Meanwhile try in another terminal:";
        yield return $"  {shell.Invocation} get -n {DemoEvents.Namespace}{server}";
        yield return $"  {shell.Invocation} deliveries -n {DemoEvents.Namespace} invoices{server}";
        yield return $"  {shell.Invocation} replay -n {DemoEvents.Namespace} legacy{server}";
        yield return $"  {shell.Invocation} send -n {DemoEvents.Namespace} --type com.acme.order.created --data '{{\"order\":1}}'{server}";
    }

    private static IEnumerable<string> Next(Shell shell)
    {
        yield return "";
        yield return "What to try next:";
        yield return $"  {shell.Invocation} demo";
        yield return "      keeps running, so that you can look around and publish from a second terminal";
        yield return $"  {shell.Invocation} run --manifests config/samples --allow-http --allow-cidr 127.0.0.0/8";
        yield return "      the operator alone, on manifests that you can change while it runs";
        yield return $"  {shell.Invocation} listen";
        yield return "      a receiver for it, that prints what arrives";
        yield return "README.md goes from here to your own first verified delivery.";
    }

    /// <summary>With other ports where those of the samples are taken.</summary>
    private static void WriteSamples(string folder, int receiverPort, int deadPort)
    {
        var assembly = Assembly.GetExecutingAssembly();
        foreach (var name in assembly.GetManifestResourceNames().Where(name => name.StartsWith(SamplePrefix, StringComparison.Ordinal)))
        {
            using var sample = new StreamReader(assembly.GetManifestResourceStream(name)!);
            File.WriteAllText(Path.Combine(folder, name[SamplePrefix.Length..]), sample.ReadToEnd()
                .Replace($"127.0.0.1:{DemoReceiver.Port}/", $"127.0.0.1:{receiverPort}/", StringComparison.Ordinal)
                .Replace($"127.0.0.1:{DemoReceiver.DeadPort}/", $"127.0.0.1:{deadPort}/", StringComparison.Ordinal));
        }
    }

    /// <summary>The usual address, so that the hints need no flags; any free port if something is there already.</summary>
    private static string FreeOr(string usual) => IsFree(new Uri(usual).Port) ? usual : "http://127.0.0.1:0";

    private static int ClosedPort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private static bool IsFree(int port)
    {
        using var probe = new TcpListener(IPAddress.Loopback, port);
        try
        {
            probe.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
