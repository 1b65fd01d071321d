using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace WebhookOperator.Bench.Processes;

/// <summary>A .NET program that runs beside this one, and dies with it at the latest.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private const int KeptLines = 200;
    private static readonly ConcurrentDictionary<ChildProcess, byte> Living = new();

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _output = new();
    private readonly TaskCompletionSource<string> _firstLine = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="assembly">The program's .dll.</param>
    /// <param name="arguments">Its arguments.</param>
    public ChildProcess(string assembly, params IEnumerable<string> arguments) : this(assembly, arguments, new Dictionary<string, string>())
    {
    }

    /// <param name="assembly">The program's .dll.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="variables">For it, besides those of this process.</param>
    /// <param name="folder">Its working directory; null for that of this process.</param>
    public ChildProcess(string assembly, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> variables, string? folder = null)
    {
        // The very host that runs this program, wherever it is installed.
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet")
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder ?? "",
        };
        start.ArgumentList.Add(assembly);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in variables)
            start.Environment[name] = value;
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        _process.OutputDataReceived += (_, e) => Keep(e.Data);
        _process.ErrorDataReceived += (_, e) => Keep(e.Data);
        _process.Exited += (_, _) => _firstLine.TrySetException(new InvalidOperationException($"{assembly} ended:\n{Output}"));
        _process.Start();
        Living[this] = 0;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>User and system time of all children so far, those that have ended too.</summary>
    public static TimeSpan ProcessorTimeOfAll
    {
        get
        {
            // proc(5): cutime and cstime, the 16th and 17th field, are those of the ended; the 2nd is a name in parentheses.
            var fields = File.ReadAllText("/proc/self/stat").Split(") ")[^1].Split(' ');
            var ended = Machine.OfTicks(fields[13]) + Machine.OfTicks(fields[14]);
            return Living.Keys.Where(child => !child.HasExited).Aggregate(ended, (sum, child) => sum + child.ProcessorTime);
        }
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>Fails if the program ends without a line.</summary>
    public Task<string> FirstLine => _firstLine.Task;

    /// <summary>The newest lines of both streams; of a program that has ended, to its last word.</summary>
    public string Output
    {
        get
        {
            if (HasExited)
                _process.WaitForExit();
            return string.Join('\n', _output);
        }
    }

    /// <summary>User and system time of all its threads so far.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>A size in /proc/PID/status, in megabytes (10^6): VmRSS, VmHWM, RssAnon.</summary>
    public double Megabytes(string field)
    {
        var line = File.ReadLines($"/proc/{Id}/status").First(l => l.StartsWith(field + ":", StringComparison.Ordinal));
        var kibibytes = line.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)[^2];
        return double.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024 / 1e6;
    }

    /// <summary>SIGTERM, then SIGKILL for one that does not heed it.</summary>
    public async Task StopAsync(TimeSpan grace)
    {
        if (!HasExited)
        {
            using var kill = Process.Start("kill", ["-TERM", Id.ToString(CultureInfo.InvariantCulture)]);
            using var deadline = new CancellationTokenSource(grace);
            try
            {
                await _process.WaitForExitAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                // It is killed below.
            }
        }
        await DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!Living.TryRemove(this, out _))
            return;
        if (!HasExited)
            _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    public static void KillAll()
    {
        foreach (var child in Living.Keys)
            if (!child.HasExited)
                child._process.Kill(entireProcessTree: true);
    }

    private void Keep(string? line)
    {
        if (line is null)
            return;
        _firstLine.TrySetResult(line);
        _output.Enqueue(line);
        if (_output.Count > KeptLines)
            _output.TryDequeue(out _);
    }
}
