namespace WebhookOperator.Cli;

/// <summary><c>run</c>: the operator, until it is told to stop.</summary>
internal static class RunVerb
{
    public static Verb Create(Shell shell)
    {
        var command = new Verb("run",
            "Runs the operator until Ctrl-C or SIGTERM. Each flag can also be set by the variable in brackets; the flag wins. "
            + "Lists in variables are separated by commas.",
            "run --manifests config/samples --allow-http --allow-cidr 127.0.0.0/8");
        var options = SettingOptions.AddTo(command, Setting.All);
        command.Check(typed => Settings.Parse(options.Typed(typed), shell.Environment).Faults);
        command.SetAction(async (parsed, cancellation) =>
        {
            var settings = Settings.Parse(options.Typed(new TypedText(parsed.CommandResult)), shell.Environment).Settings
                ?? throw new InvalidOperationException("Settings with faults have passed the check.");
            await RunAsync(settings, shell, cancellation);
            return ExitCode.Ok;
        });
        return command;
    }

    private static async Task RunAsync(Settings settings, Shell shell, CancellationToken cancellation)
    {
        await using var running = await shell.LaunchAsync(settings, null, cancellation);
        await shell.Out.WriteLineAsync($"API      {running.Api}");
        await shell.Out.WriteLineAsync($"Metrics  {new Uri(running.Metrics, "metrics")}");
        await shell.Out.WriteLineAsync("Ready. Ctrl-C stops.");
        await shell.Out.FlushAsync(CancellationToken.None);
        await Until(cancellation);
    }

    private static async Task Until(CancellationToken cancellation)
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = cancellation.Register(stopped.SetResult);
        await stopped.Task;
    }
}
