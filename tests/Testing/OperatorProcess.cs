using System.Collections.Concurrent;
using System.Diagnostics;

namespace WebhookOperator.Tests.Testing;

/// <summary>The real program as a child process, to be killed and started again on the same folder.</summary>
internal sealed class OperatorProcess : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly HttpMessageInvoker _http;
    private readonly string[] _arguments;
    private readonly ConcurrentQueue<string> _output = new();
    private Process? _process;

    /// <param name="folder">Holds the manifests and the store.</param>
    /// <param name="http">For the probes.</param>
    /// <param name="arguments">Flags of <c>run</c> besides those for manifests, store and addresses.</param>
    public OperatorProcess(string folder, HttpMessageInvoker http, params string[] arguments)
        : this(folder, $"sqlite:{Path.Combine(folder, "webhooks.db")}", http, arguments)
    {
    }

    private OperatorProcess(string folder, string store, HttpMessageInvoker http, string[] arguments)
    {
        _http = http;
        Api = new Uri($"http://127.0.0.1:{Ports.Free()}");
        Metrics = new Uri($"http://127.0.0.1:{Ports.Free()}");
        _arguments =
        [
            "run", "--manifests", Path.Combine(folder, "manifests"), "--store", store,
            "--listen", Api.ToString(), "--metrics", Metrics.ToString(), "--allow-http", "--allow-cidr", "127.0.0.0/8", .. arguments,
        ];
    }

    /// <summary>One of several replicas; they share the database and, being told the same in the same folder, the identities of their resources.</summary>
    /// <param name="folder">Holds the manifests, and a folder for each replica.</param>
    /// <param name="name">Of the replica.</param>
    /// <param name="connectionString">Of the database.</param>
    /// <param name="http">For the probes.</param>
    /// <param name="arguments">As above.</param>
    public static OperatorProcess Replica(string folder, string name, string connectionString, HttpMessageInvoker http, params string[] arguments)
    {
        var own = Path.Combine(folder, name);
        Directory.CreateDirectory(own);
        return new OperatorProcess(folder, "postgres", http, arguments)
        {
            WorkingFolder = own, Variables = { [Settings.PostgresVariable] = connectionString },
        };
    }

    /// <summary>Where it keeps what an API server would.</summary>
    public string StatePath => Path.Combine(WorkingFolder!, "webhook-operator.db.resources.json");

    public Uri Api { get; }

    /// <summary>Null is that of the tests.</summary>
    public string? WorkingFolder { get; init; }

    public Uri Metrics { get; }

    /// <summary>Variables for the program besides those of the tests; to be set before it starts.</summary>
    public Dictionary<string, string> Variables { get; } = [];

    /// <summary>What the program has printed so far.</summary>
    public string Output => string.Join('\n', _output);

    public int Id => _process!.Id;

    /// <summary>Starts the program and waits until it is ready.</summary>
    public async Task StartAsync()
    {
        Launch();
        await WaitUntilReadyAsync();
    }

    public void Launch()
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(typeof(Settings).Assembly.Location);
        foreach (var argument in _arguments)
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in Variables)
            start.Environment[name] = value;
        if (WorkingFolder is not null)
            start.WorkingDirectory = WorkingFolder;
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, e) => Keep(e.Data);
        _process.ErrorDataReceived += (_, e) => Keep(e.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public async Task WaitUntilReadyAsync()
    {
        var clock = Stopwatch.StartNew();
        while (!await IsReadyAsync())
        {
            if (_process!.HasExited)
                throw new InvalidOperationException($"The operator ended with exit code {_process.ExitCode}:\n{Output}");
            if (clock.Elapsed > Deadline)
                throw new TimeoutException($"The operator was not ready within {Deadline.TotalSeconds} s:\n{Output}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    public Task<bool> IsReadyAsync() => AnswersAsync("/readyz");

    /// <summary>Where it is not, Kubernetes restarts it.</summary>
    public Task<bool> IsAliveAsync() => AnswersAsync("/healthz");

    /// <summary>SIGKILL: the process gets no chance to do anything.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        _process = null;
    }

    /// <summary>SIGTERM, and the exit code.</summary>
    public async Task<int> StopAsync()
    {
        using var kill = Process.Start("kill", ["-TERM", $"{_process!.Id}"]);
        await kill.WaitForExitAsync();
        using var deadline = new CancellationTokenSource(Deadline);
        await _process.WaitForExitAsync(deadline.Token);
        var code = _process.ExitCode;
        _process.Dispose();
        _process = null;
        return code;
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
            await KillAsync();
    }

    private async Task<bool> AnswersAsync(string probe)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(Metrics, probe));
            using var response = await _http.SendAsync(request, CancellationToken.None);
            return response.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private void Keep(string? line)
    {
        if (line is null)
            return;
        _output.Enqueue(line);
        if (_output.Count > 2000)
            _output.TryDequeue(out _);
    }
}
