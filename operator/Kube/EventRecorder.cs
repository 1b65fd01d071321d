using System.Net;
using System.Threading.Channels;
using k8s;
using k8s.Models;

namespace WebhookOperator.Kube;

/// <summary>
/// Writes Kubernetes Events (events.k8s.io/v1), as <c>kubectl describe</c> shows them. An event that repeats becomes a
/// series of one; an object that has too many to tell tells a part of them. Best effort: an Event that can't be written
/// is counted in the log, and nothing waits for it. For any thread.
/// </summary>
/// <remarks>In KubeOps, <c>EventPublisher</c>.</remarks>
internal sealed partial class EventRecorder
{
    private const int Capacity = 1000;
    private const int MaxNoteBytes = 1024;

    /// <summary>The rest of a queue must not hold up the end of the process.</summary>
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan WriteLimit = TimeSpan.FromSeconds(10);

    /// <summary>How often a running series is brought up to date, and losses are told.</summary>
    private static readonly TimeSpan SweepInterval = TimeSpan.FromMinutes(1);

    private static readonly KubeResource Events = new("events.k8s.io", "v1", "events", "Event");

    private readonly ApiCalls _api;
    private readonly string _controller;
    private readonly string _instance;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly EventSeries _series;
    private readonly Channel<EventKey> _queue = Channel.CreateBounded<EventKey>(
        new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.Wait, SingleReader = true });
    private int _dropped;
    private int _failed;
    private string _why = "";

    /// <param name="controller">Who tells, such as <c>example.com/controller</c>.</param>
    /// <param name="instance">Which process of it: the pod. At most 128 characters.</param>
    public EventRecorder(IKubernetes client, string controller, string instance, TimeProvider time, ILogger logger)
    {
        _api = new ApiCalls(client, time);
        _controller = controller;
        _instance = instance;
        _time = time;
        _logger = logger;
        _series = new EventSeries(time);
    }

    /// <summary>Tells of something; returns at once.</summary>
    /// <param name="regarding">The object that it happened to: kind, apiVersion, namespace, name, uid.</param>
    /// <param name="type"><c>Normal</c> or <c>Warning</c>.</param>
    /// <param name="reason">One word for programs, such as <c>Rotated</c>.</param>
    /// <param name="action">What was done, or was to be done: one word.</param>
    /// <param name="note">For people; cut after 1 kB. Never with a secret value in it.</param>
    public void Record(V1ObjectReference regarding, string type, string reason, string action, string note)
    {
        if (!_queue.Writer.TryWrite(new EventKey(new EventTarget(regarding), type, reason, action, Cut(note))))
            Interlocked.Increment(ref _dropped);
    }

    /// <summary>Writes until cancelled, and then for at most 5 s what is left. Call once.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var sweep = new PeriodicTimer(SweepInterval, _time);
        var swept = sweep.WaitForNextTickAsync(cancellation).AsTask();
        var more = _queue.Reader.WaitToReadAsync(cancellation).AsTask();
        while (!cancellation.IsCancellationRequested)
        {
            await Task.WhenAny(swept, more);
            if (cancellation.IsCancellationRequested)
                break;
            if (more.IsCompleted)
            {
                await DrainAsync(cancellation);
                more = _queue.Reader.WaitToReadAsync(cancellation).AsTask();
            }
            if (swept.IsCompleted)
            {
                await SweepAsync(cancellation);
                swept = sweep.WaitForNextTickAsync(cancellation).AsTask();
            }
        }
        using var limit = new CancellationTokenSource(FlushLimit, _time);
        await DrainAsync(limit.Token);
        Interlocked.Add(ref _dropped, _queue.Reader.Count);
        await SweepAsync(limit.Token);
        cancellation.ThrowIfCancellationRequested();
    }

    private async Task DrainAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested && _queue.Reader.TryRead(out var key))
        {
            switch (_series.Observe(key))
            {
                case EventStep.Write:
                    if (!await TryAsync(() => CreateAsync(key, cancellation), cancellation))
                        _series.Forget(key);
                    break;
                case EventStep.Drop:
                    Interlocked.Increment(ref _dropped);
                    break;
                case EventStep.Count:
                    break; // The next sweep writes it.
            }
        }
    }

    private async Task SweepAsync(CancellationToken cancellation)
    {
        foreach (var running in _series.TakeChanged())
            await TryAsync(() => UpdateAsync(running, cancellation), cancellation);
        var (dropped, failed) = (Interlocked.Exchange(ref _dropped, 0), Interlocked.Exchange(ref _failed, 0));
        if (dropped > 0)
            Dropped(dropped);
        if (failed > 0)
            NotWritten(failed, _why);
    }

    private async Task CreateAsync(EventKey key, CancellationToken cancellation)
    {
        var now = MicroTime.Now(_time);
        var target = key.Target;
        // Events about what is of no namespace are kept in this one, as everywhere in Kubernetes.
        var @namespace = target.Namespace.Length == 0 ? "default" : target.Namespace;
        var name = $"{(target.Name.Length > 200 ? target.Name[..200].TrimEnd('.', '-') : target.Name)}.{_series.NextSuffix():x16}";
        await _api.SendAsync<Answer>(HttpMethod.Post, Events.Path(@namespace), KubeJson.Write(new Eventsv1Event
        {
            ApiVersion = Events.ApiVersion,
            Kind = Events.Kind,
            Metadata = new V1ObjectMeta { Name = name, NamespaceProperty = @namespace },
            EventTime = now,
            ReportingController = _controller,
            ReportingInstance = _instance,
            Action = key.Action,
            Reason = key.Reason,
            Type = key.Type,
            Note = key.Note,
            Regarding = target.ToReference(),
        }), ApiCalls.Json, WriteLimit, cancellation);
        _series.Written(key, new ObjectName(@namespace, name));
    }

    private async Task UpdateAsync(RunningSeries running, CancellationToken cancellation)
    {
        var patch = KubeJson.Write(new SeriesPatch(new Eventsv1EventSeries { Count = running.Count, LastObservedTime = running.Last }));
        try
        {
            await _api.SendAsync<Answer>(HttpMethod.Patch, Events.Path(running.Event), patch, ApiCalls.MergePatch, WriteLimit, cancellation);
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.NotFound)
        {
            // Events are kept for an hour or so: this one goes on in another.
            await CreateAsync(running.Key, cancellation);
        }
    }

    private async Task<bool> TryAsync(Func<Task> write, CancellationToken cancellation)
    {
        try
        {
            await write();
            return true;
        }
        catch (Exception e)
        {
            _why = cancellation.IsCancellationRequested ? "stopping" : ApiFault.Describe(e, _api.Server, Events, "create or patch", "does its namespace exist?");
            Interlocked.Increment(ref _failed);
            return false;
        }
    }

    private static string Cut(string note)
    {
        if (System.Text.Encoding.UTF8.GetByteCount(note) <= MaxNoteBytes)
            return note;
        var length = 0;
        var bytes = 0;
        foreach (var rune in note.EnumerateRunes())
        {
            bytes += rune.Utf8SequenceLength;
            // Room for the mark that something is missing.
            if (bytes > MaxNoteBytes - 3)
                break;
            length += rune.Utf16SequenceLength;
        }
        return note[..length] + "…";
    }

    [LoggerMessage(LogLevel.Information, "{Count} Kubernetes Events were left out: there were too many of one object, or of all, or the API server was too slow for them")]
    private partial void Dropped(int count);

    [LoggerMessage(LogLevel.Warning, "{Count} Kubernetes Events could not be written: {Why}")]
    private partial void NotWritten(int count, string why);

    private sealed record SeriesPatch(Eventsv1EventSeries Series);

    /// <summary>Nothing of it is read.</summary>
    private sealed record Answer;
}
