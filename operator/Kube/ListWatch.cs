using System.Net;
using System.Text.Json;
using k8s;
using k8s.Models;

namespace WebhookOperator.Kube;

/// <summary>
/// Keeps an <see cref="ObjectCache{T}"/> in line with the API server: lists all objects page by page, removes what is
/// gone, then watches from where the list ended. Whatever goes wrong is told, and mended by watching on from the last
/// object seen or, where that can't be trusted, by listing again; see
/// https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes.
/// </summary>
/// <remarks>
/// In KubeOps this is the watcher behind an entity's controller, with its cache. There, events are handed on; here
/// they only ever fill the cache, and the key goes to a <see cref="WorkQueue{TKey}"/>.
/// </remarks>
internal sealed partial class ListWatch<T> where T : class, IKubernetesObject<V1ObjectMeta>
{
    /// <summary>After so many watches in a row that failed or told nothing, the list is read again.</summary>
    private const int MaxFruitless = 5;

    private static readonly TimeSpan MinWatch = TimeSpan.FromSeconds(300);
    private static readonly TimeSpan MaxWatch = TimeSpan.FromSeconds(600);

    /// <summary>An API server sends a bookmark every minute or so: one that is silent for longer is not there any more.</summary>
    private static readonly TimeSpan MaxSilence = TimeSpan.FromSeconds(150);

    private static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan MaxBackoff = TimeSpan.FromSeconds(15);

    /// <summary>An API server that asks for more is asked again all the same: it may have been replaced.</summary>
    private static readonly TimeSpan MaxRetryAfter = TimeSpan.FromMinutes(2);

    private readonly ApiCalls _api;
    private readonly KubeResource _resource;
    private readonly ObjectCache<T>.Feed _feed;
    private readonly ListWatchOptions<T> _options;
    private readonly TimeProvider _time;
    private readonly Func<double> _random;
    private readonly ILogger _logger;
    private volatile string? _fault;

    /// <summary>Where the watch goes on; null when the list must be read first.</summary>
    private string? _version;

    /// <summary>Failures, and watches that told nothing, since the last thing that worked.</summary>
    private int _fruitless;

    /// <param name="random">Evenly from 0 to 1.</param>
    public ListWatch(
        IKubernetes client, KubeResource resource, ObjectCache<T> cache, ListWatchOptions<T> options,
        TimeProvider time, Func<double> random, ILogger logger)
    {
        _api = new ApiCalls(client, time);
        _resource = resource;
        _feed = cache.AddFeed(options.Namespace);
        _options = options;
        _time = time;
        _random = random;
        _logger = logger;
        _fault = $"{What}: not listed yet";
    }

    /// <summary>
    /// Why the cache is not filled yet, or may have fallen behind since; null while all is well. For people, with
    /// what mends it where that is known.
    /// </summary>
    public string? Fault => _fault;

    private string What => _options.Namespace is null ? _resource.ToString() : $"{_resource} in {_options.Namespace}";

    /// <summary>Runs until cancelled. Call once; nothing else ends it.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            TimeSpan? asked = null;
            try
            {
                if (_version is null)
                {
                    _version = await ListAsync(cancellation);
                    Well();
                }
                if (await WatchAsync(_version, cancellation))
                    _fruitless = 0;
                else
                    _fruitless++;
            }
            catch (KubeApiException e) when (e.Status == HttpStatusCode.Gone)
            {
                // Happens to everyone who was away for a while, and is no fault.
                _fruitless++;
                _version = null;
                TooOld(What);
            }
            catch (Exception e) when (!cancellation.IsCancellationRequested)
            {
                _fruitless++;
                if (MustRelist(e))
                    _version = null;
                asked = (e as KubeApiException)?.RetryAfter;
                Failing(e);
            }
            if (_fruitless >= MaxFruitless)
                _version = null;
            if (_fruitless > 0)
                await Task.Delay(Backoff(asked), _time, cancellation);
        }
    }

    /// <summary>Reads all objects into the cache, and returns the state of the world that they show.</summary>
    private async Task<string> ListAsync(CancellationToken cancellation)
    {
        var names = new HashSet<ObjectName>();
        var limit = _options.PageSize;
        string? next = null;
        while (true)
        {
            ListMetadata page;
            try
            {
                page = await PageAsync(names, limit, next, cancellation);
            }
            catch (KubeApiException e) when (e.Status == HttpStatusCode.Gone && next is not null)
            {
                // The state that the pages show has been compacted meanwhile. All in one can't fall apart.
                names.Clear();
                limit = 0;
                next = null;
                continue;
            }
            if (!string.IsNullOrEmpty(page.Continue))
            {
                next = page.Continue;
                continue;
            }
            _feed.Listed(names);
            return page.ResourceVersion ?? throw new JsonException($"The list of {What} has no resourceVersion.");
        }
    }

    private async Task<ListMetadata> PageAsync(HashSet<ObjectName> names, int limit, string? next, CancellationToken cancellation)
    {
        // No resourceVersion: the newest state, never one from before what has been seen already.
        var query = $"?limit={limit}{Selector()}" + (next is null ? "" : $"&continue={Uri.EscapeDataString(next)}");
        using var silence = new Silence(MaxSilence, _time, cancellation);
        try
        {
            using var response = await _api.OpenAsync(HttpMethod.Get, _resource.Path(_options.Namespace) + query, null, null, silence.Token);
            await using var stream = await response.Content.ReadAsStreamAsync(silence.Token);
            return await ListPage.ReadAsync(stream, json => Put(json, names), silence.Heard, silence.Token);
        }
        catch (OperationCanceledException) when (silence.Broken)
        {
            throw new TimeoutException($"the API server stopped answering for {MaxSilence.TotalSeconds} s");
        }
    }

    /// <summary>Watches until the stream ends, silence lasts too long, or something fails.</summary>
    /// <returns>Whether the server told anything.</returns>
    private async Task<bool> WatchAsync(string version, CancellationToken cancellation)
    {
        var seconds = (int)(MinWatch + _random() * (MaxWatch - MinWatch)).TotalSeconds;
        var query = $"?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={Uri.EscapeDataString(version)}{Selector()}";
        var told = false;
        using var silence = new Silence(MaxSilence, _time, cancellation);
        try
        {
            using var response = await _api.OpenAsync(HttpMethod.Get, _resource.Path(_options.Namespace) + query, null, null, silence.Token);
            Well();
            await using var stream = await response.Content.ReadAsStreamAsync(silence.Token);
            await WatchStream.ReadAsync(stream, (kind, json) =>
            {
                if (kind == WatchFrameKind.Error)
                    throw KubeApiException.From($"watch {What}", null, json);
                told |= Take(kind, json);
            }, silence.Heard, silence.Token);
        }
        catch (OperationCanceledException) when (silence.Broken)
        {
            Silent(What, MaxSilence.TotalSeconds);
        }
        catch (Exception e) when (told && e is IOException or HttpRequestException)
        {
            // A connection that was cut after it had served: the next one goes on from there.
        }
        return told;
    }

    private bool Take(WatchFrameKind kind, ReadOnlySpan<byte> json)
    {
        V1ObjectMeta metadata;
        switch (kind)
        {
            case WatchFrameKind.Put:
                metadata = Put(json, null);
                break;
            case WatchFrameKind.Deleted:
                metadata = MetadataOf(json);
                _feed.Remove(ObjectName.Of(metadata));
                break;
            case WatchFrameKind.Bookmark:
                metadata = MetadataOf(json);
                break;
            default:
                return false;
        }
        _version = metadata.ResourceVersion;
        return true;
    }

    private V1ObjectMeta Put(ReadOnlySpan<byte> json, HashSet<ObjectName>? names)
    {
        V1ObjectMeta metadata;
        try
        {
            var item = KubeJson.Read<T>(json) ?? throw new JsonException("The object is null.");
            metadata = item.Metadata;
            _feed.Put(_options.Trim?.Invoke(item) ?? item);
        }
        catch (JsonException e)
        {
            metadata = MetadataOf(json);
            if (_options.Unreadable?.Invoke(metadata, e) is { } standIn)
                _feed.Put(standIn);
            Unreadable(_resource, ObjectName.Of(metadata), e.Message);
        }
        names?.Add(ObjectName.Of(metadata));
        return metadata;
    }

    private static V1ObjectMeta MetadataOf(ReadOnlySpan<byte> json) =>
        KubeJson.Read<Stub>(json)?.Metadata ?? throw new JsonException("The object has no metadata.");

    private string Selector() =>
        _options.LabelSelector is null ? "" : $"&labelSelector={Uri.EscapeDataString(_options.LabelSelector)}";

    /// <summary>Whether the state that the watch would go on from is not to be had any more.</summary>
    private static bool MustRelist(Exception e) =>
        e is KubeApiException { Status: HttpStatusCode.BadRequest or HttpStatusCode.UnprocessableEntity or HttpStatusCode.NotFound };

    private TimeSpan Backoff(TimeSpan? asked)
    {
        var wait = Math.Min(FirstBackoff.Ticks * Math.Pow(2, _fruitless - 1), MaxBackoff.Ticks) * (0.8 + 0.4 * _random());
        var least = asked < MaxRetryAfter ? asked.Value : asked is null ? TimeSpan.Zero : MaxRetryAfter;
        return TimeSpan.FromTicks(Math.Max((long)wait, least.Ticks));
    }

    private void Well()
    {
        if (Interlocked.Exchange(ref _fault, null) is not null)
            Following(What, _version);
    }

    private void Failing(Exception e)
    {
        var fault = $"{What}: {ApiFault.Describe(e, _api.Server, _resource, _version is null ? "list" : "watch", _options.NotFoundHint)}";
        if (Interlocked.Exchange(ref _fault, fault) != fault)
            Failed(fault);
    }

    [LoggerMessage(LogLevel.Information, "Following {What} from resourceVersion {Version}")]
    private partial void Following(string what, string? version);

    [LoggerMessage(LogLevel.Warning, "{Fault}; trying again")]
    private partial void Failed(string fault);

    [LoggerMessage(LogLevel.Information, "The watch of {What} is from before what the API server remembers: listing again")]
    private partial void TooOld(string what);

    [LoggerMessage(LogLevel.Information, "The watch of {What} told nothing for {Seconds} s and is opened anew")]
    private partial void Silent(string what, double seconds);

    [LoggerMessage(LogLevel.Warning, "{Resource} {Name} is not of the form that this version knows: {Why}")]
    private partial void Unreadable(KubeResource resource, ObjectName name, string why);

    private sealed record Stub(V1ObjectMeta? Metadata);
}
