using System.Collections.Concurrent;
using System.Diagnostics;

namespace WebhookOperator.Tests.Testing;

/// <summary>A program that runs beside the tests and never outlives them, however the test process ends.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private const string SetPriv = "/usr/bin/setpriv";
    private const int LinesKept = 500;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    // The kernel tells a child of the death of the thread that started it, and those of the pool come and go.
    private static readonly Lazy<BlockingCollection<Action>> Parent = new(StartParent);

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _output = new();

    private ChildProcess(ProcessStartInfo start)
    {
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, e) => Keep(e.Data);
        _process.ErrorDataReceived += (_, e) => Keep(e.Data);
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    /// <summary>The last lines that the program has printed so far.</summary>
    public string Output => string.Join('\n', _output);

    /// <param name="variables">For the program, besides those of the tests; null takes one away.</param>
    public static async Task<ChildProcess> StartAsync(
        string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? variables = null)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (File.Exists(SetPriv))
        {
            start.FileName = SetPriv;
            foreach (var argument in new[] { "--pdeathsig", "KILL", program })
                start.ArgumentList.Add(argument);
        }
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in variables ?? new Dictionary<string, string?>())
            start.Environment[name] = value;

        var child = new ChildProcess(start);
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Parent.Value.Add(() =>
        {
            try
            {
                child._process.Start();
                started.SetResult();
            }
            catch (Exception e)
            {
                started.SetException(e);
            }
        });
        await started.Task;
        child._process.BeginOutputReadLine();
        child._process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Sends a signal, by its name without SIG.</summary>
    public async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{Id}"]);
        await kill.WaitForExitAsync();
    }

    /// <summary>SIGTERM, and the exit code; fails after a deadline of 60 s.</summary>
    public async Task<int> StopAsync()
    {
        await SignalAsync("TERM");
        using var deadline = new CancellationTokenSource(Deadline);
        await _process.WaitForExitAsync(deadline.Token);
        return ExitCode;
    }

    /// <summary>SIGKILL: the program gets no chance to do anything.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _process.Dispose();
    }

    private static BlockingCollection<Action> StartParent()
    {
        var starts = new BlockingCollection<Action>();
        new Thread(() =>
        {
            foreach (var start in starts.GetConsumingEnumerable())
                start();
        })
        { IsBackground = true, Name = "parent of child processes" }.Start();
        return starts;
    }

    private void Keep(string? line)
    {
        if (line is null)
            return;
        _output.Enqueue(line);
        if (_output.Count > LinesKept)
            _output.TryDequeue(out _);
    }
}
