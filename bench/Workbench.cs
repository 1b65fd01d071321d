using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Publishing;

namespace WebhookOperator.Bench;

/// <summary>What the sections share: the receiver, folders, and the rate that one of them finds out for the others.</summary>
internal sealed class Workbench(bool quick, string folder) : IAsyncDisposable
{
    /// <summary>Concurrent requests, of the bare loop and of publishing alike: enough that there is always one that does not wait for a commit.</summary>
    public const int Workers = 128;

    private ReceiverProcess? _receiver;
    private int _folders;

    public bool Quick => quick;

    /// <summary>Of events end to end, where they are compared with the bare loop.</summary>
    public TimeSpan Round => Seconds(2.5, 1);

    public TimeSpan BareRound => Seconds(2, 1);

    /// <summary>Until then the bare loop's own code is still being compiled.</summary>
    public TimeSpan BareWarmUp => Seconds(10, 2);

    public HttpMessageInvoker Http { get; } = Loopback.NewInvoker();

    /// <summary>Single events a second that the operator carries end to end; null until it was measured.</summary>
    public double? SingleRate { get; set; }

    public async Task<ReceiverProcess> ReceiverAsync() =>
        _receiver ??= await ReceiverProcess.StartAsync(Http, Manifests.SigningKey);

    /// <summary>A new folder for one operator, with its manifests written.</summary>
    public string NewFolder(IEnumerable<SubscriptionManifest> subscriptions)
    {
        var path = Path.Combine(folder, $"{++_folders}");
        Manifests.Write(Path.Combine(path, "manifests"), subscriptions);
        return path;
    }

    /// <summary>A new folder for one operator in a cluster.</summary>
    public string NewFolder() => Path.Combine(folder, $"{++_folders}");

    public Task<OperatorProcess> StartOperatorAsync(string path, CancellationToken cancellation) =>
        OperatorProcess.StartAsync(Http, path, cancellation);

    /// <summary>A shorter time for a quick run.</summary>
    public TimeSpan Seconds(double full, double inQuick) => TimeSpan.FromSeconds(quick ? inQuick : full);

    public async ValueTask DisposeAsync()
    {
        if (_receiver is not null)
            await _receiver.DisposeAsync();
        Http.Dispose();
    }
}
