using System.Diagnostics;

namespace WebhookOperator.Tests.Cli;

public sealed class DemoTests
{
    [Fact]
    public async Task The_demo_delivers_what_should_arrive_and_says_so()
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])[typeof(Settings).Assembly.Location, "demo", "--exit", "--listen", "http://127.0.0.1:0", "--metrics", "http://127.0.0.1:0"])
            start.ArgumentList.Add(argument);
        using var demo = Process.Start(start)!;
        using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        try
        {
            var error = demo.StandardError.ReadToEndAsync(deadline.Token);
            var output = await demo.StandardOutput.ReadToEndAsync(deadline.Token);
            await demo.WaitForExitAsync(deadline.Token);

            Assert.True(demo.ExitCode == 0, $"Exit code {demo.ExitCode}\n{output}\n{await error}");
            Assert.Contains("Everything arrived that should.", output);
            // The table of subscriptions, before and after.
            Assert.Equal(2, output.Split('\n').Count(line => line.StartsWith("NAME ", StringComparison.Ordinal) && line.Contains("LAST-SUCCESS", StringComparison.Ordinal)));
            // The receiver that was down for a while, and the dead one.
            Assert.Contains(output.Split('\n'), line => line.Contains("invoices", StringComparison.Ordinal) && line.Contains("attempt 1: 503", StringComparison.Ordinal));
            Assert.Contains(output.Split('\n'), line => line.Contains("legacy", StringComparison.Ordinal) && line.Contains("→ dead", StringComparison.Ordinal));
            Assert.Contains("What to try next:", output);
        }
        finally
        {
            if (!demo.HasExited)
                demo.Kill();
        }
    }
}
