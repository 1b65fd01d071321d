using WebhookOperator.Bench.Processes;

namespace WebhookOperator.Bench.Sections;

/// <summary>One of several operators on a database, that is ended and started again.</summary>
internal sealed class Replica(Workbench bench, string folder, string database, int index) : IAsyncDisposable
{
    private readonly string _own = Path.Combine(folder, $"replica-{index}");
    private OperatorProcess? _process;

    /// <summary>Null while it is not running.</summary>
    public Uri? Api => _process?.Api;

    public OperatorProcess Process => _process ?? throw new InvalidOperationException("The replica does not run.");

    /// <summary>What an API server would keep: the replicas must agree on the identities of subscriptions.</summary>
    public string StatePath => Path.Combine(_own, "webhook-operator.db.resources.json");

    public async Task StartAsync(Replica? like, CancellationToken cancellation)
    {
        Directory.CreateDirectory(_own);
        if (like is not null && like != this && !File.Exists(StatePath))
            File.Copy(like.StatePath, StatePath);
        _process = await OperatorProcess.StartOnPostgresAsync(bench.Http, folder, _own, database, cancellation);
    }

    public async Task KillAsync()
    {
        var process = Process;
        _process = null;
        await process.DisposeAsync();
    }

    public async Task StopAsync()
    {
        var process = Process;
        _process = null;
        await process.StopAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
            await KillAsync();
    }
}
