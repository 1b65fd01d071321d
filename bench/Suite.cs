using System.Diagnostics;

namespace WebhookOperator.Bench;

/// <summary>Runs the sections, and prints the table.</summary>
internal static class Suite
{
    public static async Task<int> RunAsync(BenchOptions options, TextWriter output, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var faults = 0;
        var reached = true;
        var folder = Directory.CreateDirectory(Path.GetFullPath(Path.Combine(
            options.Folder ?? Path.GetTempPath(), $"webhook-operator-bench-{Environment.ProcessId}"))).FullName;
        var table = new Table("section", "figure", "measured", "limit here", "wanted", "reached");
        foreach (var fact in Machine.Describe(folder))
            table.Add("machine", fact);
        if (IsDebugBuild)
            table.Add("machine", new Figure("build", "Debug: these figures say nothing; run with --configuration Release"));
        try
        {
            await using var bench = new Workbench(options.Quick, folder);
            foreach (var section in options.Sections)
            {
                await Console.Error.WriteLineAsync($"{clock.Elapsed:mm\\:ss} {section.Name}: {section.Purpose}");
                var others = Machine.WatchOthers();
                try
                {
                    foreach (var figure in await section.RunAsync(bench, cancellation))
                    {
                        table.Add(section.Name, figure);
                        reached &= figure.Reached != false;
                    }
                }
                catch (Exception e) when (!cancellation.IsCancellationRequested)
                {
                    await Console.Error.WriteLineAsync($"{section.Name} could not run: {e}");
                    table.Add(section.Name, new Figure("could not run", e.Message.Split('\n')[0]));
                    faults++;
                }
                table.Add(section.Name, new Figure("  other programs meanwhile", Figure.Text(others(), "% of the processors")));
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("Stopped.");
            faults++;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        await output.WriteLineAsync($"\n{table}\n\nTook {clock.Elapsed.TotalSeconds:0} s.{(options.Quick ? " Quick: the figures are rough." : "")}");
        return faults > 0 || (options.Check && !reached) ? ExitCodes.Failed : ExitCodes.Ok;
    }

    private static bool IsDebugBuild =>
        typeof(Settings).Assembly.GetCustomAttributes(typeof(DebuggableAttribute), false)
            .OfType<DebuggableAttribute>().Any(a => a.IsJITOptimizerDisabled);
}
