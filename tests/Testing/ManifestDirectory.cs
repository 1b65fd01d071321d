using Microsoft.Extensions.Logging;
using WebhookOperator.Local;

namespace WebhookOperator.Tests.Testing;

/// <summary>A real folder of manifests, watched, with its state beside it. Stopping and starting again is a restart.</summary>
internal sealed class ManifestDirectory : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("manifests-");
    private CancellationTokenSource _stop = new();
    private Task _run = Task.CompletedTask;
    private LocalState? _state;
    private ManifestFolder? _source;

    public ManifestDirectory() => Directory.CreateDirectory(Folder);

    public string Folder => Path.Combine(_root.FullName, "manifests");

    public string StatePath => Path.Combine(_root.FullName, "store.db.resources.json");

    public CapturedLog Log { get; } = new();

    public ManifestFolder Source => _source ?? throw new InvalidOperationException("Start first.");

    public LocalState State => _state ?? throw new InvalidOperationException("Start first.");

    public void Write(string file, string text)
    {
        var path = Path.Combine(Folder, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        // As careful writers do; tests of careless ones write themselves.
        File.WriteAllText(path + ".new", text);
        File.Move(path + ".new", path, overwrite: true);
    }

    public void Delete(string file) => File.Delete(Path.Combine(Folder, file));

    public async Task<ManifestFolder> StartAsync(bool waitForSync = true)
    {
        _state = LocalState.Open(StatePath);
        _source = new ManifestFolder(Folder, _state, TimeProvider.System, Log.Logger<ManifestFolder>());
        _stop = new CancellationTokenSource();
        _run = Task.Run(() => _source.RunAsync(_stop.Token));
        if (waitForSync)
            await UntilAsync(() => _source.Synced, "the folder is synced");
        return _source;
    }

    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        _state?.Dispose();
        _stop.Dispose();
        _run = Task.CompletedTask;
    }

    /// <summary>Waits for a state of the world.</summary>
    public async Task UntilAsync(Func<bool> condition, string what)
    {
        var start = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            if (_run.IsFaulted)
                await _run;
            Assert.True(TimeProvider.System.GetElapsedTime(start) < Deadline, $"waited in vain until {what}; log:\n{Log}");
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, TestContext.Current.CancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_run.IsCompleted)
            await StopAsync();
        _root.Delete(recursive: true);
    }
}

/// <summary>Keeps what was logged.</summary>
internal sealed class CapturedLog : ILoggerProvider
{
    private readonly List<(LogLevel Level, string Message)> _lines = [];
    private readonly LoggerFactory _factory;

    public CapturedLog() => _factory = new LoggerFactory([this]);

    public ILoggerFactory Factory => _factory;

    public IReadOnlyList<string> Warnings
    {
        get
        {
            lock (_lines)
                return [.. _lines.Where(line => line.Level >= LogLevel.Warning).Select(line => line.Message)];
        }
    }

    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (_lines)
                return [.. _lines.Select(line => line.Message)];
        }
    }

    public ILogger<T> Logger<T>() => _factory.CreateLogger<T>();

    public ILogger CreateLogger(string categoryName) => new Writer(this);

    public void Dispose() => _factory.Dispose();

    public override string ToString() => string.Join('\n', Lines);

    private sealed class Writer(CapturedLog log) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, Microsoft.Extensions.Logging.EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            lock (log._lines)
                log._lines.Add((logLevel, formatter(state, exception) + (exception is null ? "" : $" {exception}")));
        }
    }
}
