using System.Collections.Concurrent;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Kube;

namespace WebhookOperator.Cluster;

/// <summary>
/// The Secrets that resources name and that are not watched: read when needed and again every minute, or every
/// few seconds while they are missing. All other Secrets of the cluster are left alone, and cost nothing.
/// </summary>
/// <param name="read">One Secret from the API server; null if there is none.</param>
/// <param name="isNamed">Whether a resource still names it.</param>
/// <param name="changed">Told of each that appeared, changed or went.</param>
/// <param name="time">For the intervals.</param>
/// <param name="logger">Where failed reads are told.</param>
internal sealed partial class PolledSecrets(
    Func<ObjectName, CancellationToken, Task<V1Secret?>> read, Func<ResourceKey, bool> isNamed, Action<ResourceKey> changed,
    TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    /// <summary>Somebody may be about to create it, and deliveries wait.</summary>
    private static readonly TimeSpan MissingInterval = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(1);

    /// <summary>Reads of one beat: thousands of missing Secrets are asked for less often each.</summary>
    private const int ReadsPerBeat = 20;

    private const int Parallelism = 4;

    private readonly ConcurrentDictionary<ObjectName, Entry> _entries = new();

    /// <summary>As it was at most an interval ago; null if there is none.</summary>
    public async ValueTask<V1Secret?> GetAsync(ObjectName name, CancellationToken cancellation)
    {
        if (_entries.TryGetValue(name, out var entry) && time.GetElapsedTime(entry.ReadAt) < (entry.Secret is null ? MissingInterval : Interval))
            return entry.Secret;
        return (await ReadAsync(name, cancellation)).Secret;
    }

    /// <summary>It is watched from now on, or the operator wrote it: what was read is no longer needed.</summary>
    public void Forget(ObjectName name) => _entries.TryRemove(name, out _);

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var beat = new PeriodicTimer(Beat, time);
        while (await beat.WaitForNextTickAsync(cancellation))
        {
            foreach (var name in _entries.Keys.Where(name => !isNamed(KeyOf(name))))
                _entries.TryRemove(name, out _);
            var due = _entries
                .Where(entry => time.GetElapsedTime(entry.Value.ReadAt) >= (entry.Value.Secret is null ? MissingInterval : Interval))
                .OrderBy(entry => entry.Value.ReadAt).Take(ReadsPerBeat).ToArray();
            var options = new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellation };
            await Parallel.ForEachAsync(due, options, async (entry, token) => await RefreshAsync(entry.Key, entry.Value, token));
        }
    }

    private async Task RefreshAsync(ObjectName name, Entry before, CancellationToken cancellation)
    {
        try
        {
            var now = await ReadAsync(name, cancellation);
            if (now.Version != before.Version)
                changed(KeyOf(name));
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            // What was read last stays in force; the next beat tries again.
            ReadFailed(name, e.Message);
            _entries.TryUpdate(name, before with { ReadAt = time.GetTimestamp() }, before);
        }
    }

    private async Task<Entry> ReadAsync(ObjectName name, CancellationToken cancellation)
    {
        var start = time.GetTimestamp();
        return _entries[name] = new Entry(await read(name, cancellation), start);
    }

    private static ResourceKey KeyOf(ObjectName name) => new(V1Secret.KubeKind, name.Namespace, name.Name);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The Secret {Name} could not be read again, and stays as it was: {Fault}")]
    private partial void ReadFailed(ObjectName name, string fault);

    private sealed record Entry(V1Secret? Secret, long ReadAt)
    {
        public (string? Uid, string? ResourceVersion) Version => (Secret?.Metadata.Uid, Secret?.Metadata.ResourceVersion);
    }
}
