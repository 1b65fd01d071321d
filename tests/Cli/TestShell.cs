using System.Text;
using WebhookOperator.Cli;

namespace WebhookOperator.Tests.Cli;

/// <summary>Runs a verb in this process and keeps what it prints.</summary>
internal sealed class TestShell
{
    private readonly StringBuilder _out = new();
    private readonly StringBuilder _error = new();

    public Dictionary<string, string> Environment { get; } = [];

    public string In { get; init; } = "";

    public LaunchOperator Launch { get; init; } =
        (_, _, _) => throw new InvalidOperationException("This verb must not launch an operator.");

    public string Out => Read(_out);

    public string Error => Read(_error);

    /// <summary>To be awaited on: a line that was printed, or will be.</summary>
    public async Task<string> LineAsync(Func<string, bool> wanted)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            if (Out.Split('\n').FirstOrDefault(wanted) is { } line)
                return line;
            Assert.False(deadline.IsCancellationRequested, $"The line did not come. Printed so far:\n{Out}\n{Error}");
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
        }
    }

    /// <summary>Without input, whose output nobody reads.</summary>
    public static Shell Plain => new TestShell().ToShell();

    public Task<int> RunAsync(params string[] args) => RunAsync(CancellationToken.None, args);

    public Task<int> RunAsync(CancellationToken cancellation, params string[] args) => CommandLine.RunAsync(args, ToShell(), cancellation);

    private Shell ToShell() => new()
    {
        In = new StringReader(In), Out = new Capture(_out), Error = new Capture(_error),
        Environment = Environment, Time = TimeProvider.System, Launch = Launch,
    };

    private static string Read(StringBuilder text)
    {
        lock (text)
            return text.ToString();
    }

    /// <summary>Can be read while verbs write.</summary>
    private sealed class Capture(StringBuilder text) : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value)
        {
            lock (text)
                text.Append(value);
        }

        public override void Write(string? value)
        {
            lock (text)
                text.Append(value);
        }
    }
}
