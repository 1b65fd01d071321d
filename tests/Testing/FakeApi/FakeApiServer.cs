using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using k8s;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WebhookOperator.Kube;

namespace WebhookOperator.Tests.Testing.FakeApi;

/// <summary>
/// An API server in this process, over real sockets, for the faults that a real one won't have on demand. Serves any
/// kind that it is told of: lists in pages, watches with bookmarks, writes with preconditions, server-side apply in a
/// simple form. Everybody may do everything, unless <see cref="Refuse"/> says otherwise.
/// </summary>
internal sealed class FakeApiServer : IAsyncDisposable
{
    private static readonly string[] AlwaysServed =
        ["/v1/namespaces", "/v1/secrets", "coordination.k8s.io/v1/leases", "events.k8s.io/v1/events"];

    private readonly ConcurrentDictionary<string, (long Version, IReadOnlyList<JsonObject> Left)> _pages = new();
    private readonly ConcurrentDictionary<FakeWatch, byte> _watches = new();
    private readonly ConcurrentQueue<FakeRequest> _requests = new();
    private WebApplication? _app;
    private int _port;
    private int _tokens;

    private FakeApiServer()
    {
        foreach (var collection in AlwaysServed)
            Store.Serve(collection);
    }

    public FakeApiStore Store { get; } = new();

    public Uri Uri => new($"http://127.0.0.1:{_port}");

    /// <summary>Asked first for every request; null serves it. May wait, for a server that is slow.</summary>
    public Func<FakeRequest, Task<FakeRefusal?>> Refuse { get; set; } = _ => Task.FromResult<FakeRefusal?>(null);

    /// <summary>Whether the request is served, and the connection then broken without an answer.</summary>
    public Func<FakeRequest, bool> LoseAnswer { get; set; } = _ => false;

    /// <summary>Whether a watch from a state that is compacted is answered with 200 and an ERROR frame, as by a real one mostly, or with HTTP 410.</summary>
    public bool GoneInStream { get; set; } = true;

    public TimeSpan BookmarkInterval { get; set; } = TimeSpan.FromMilliseconds(200);

    /// <summary>All that have come, refused ones too.</summary>
    public IReadOnlyCollection<FakeRequest> Requests => _requests;

    /// <summary>Those that are connected now.</summary>
    public IReadOnlyCollection<FakeWatch> Watches => [.. _watches.Keys];

    public static async Task<FakeApiServer> StartAsync(params KubeResource[] resources)
    {
        var server = new FakeApiServer();
        foreach (var resource in resources)
            server.Store.Serve(Collection(resource));
        await server.ComeAsync();
        return server;
    }

    public static string Collection(KubeResource resource) => $"{resource.Group}/{resource.Version}/{resource.Plural}";

    /// <summary>A client as the operator has it.</summary>
    public IKubernetes Client(string? token = null) =>
        new k8s.Kubernetes(new KubernetesClientConfiguration { Host = Uri.ToString(), AccessToken = token });

    /// <summary>Stops listening; every connection breaks. The objects stay.</summary>
    public async Task GoAwayAsync()
    {
        if (_app is null)
            return;
        foreach (var watch in Watches)
            watch.Cut();
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
        _app = null;
    }

    /// <summary>Listens, after <see cref="GoAwayAsync"/> on the same port again.</summary>
    public async Task ComeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, _port));
        _app = builder.Build();
        _app.Run(ServeAsync);
        await _app.StartAsync();
        _port = new Uri(_app.Urls.First()).Port;
    }

    /// <summary>From now on no list can be continued, as after a compaction.</summary>
    public void ExpirePages() => _pages.Clear();

    public ValueTask DisposeAsync() => new(GoAwayAsync());

    private async Task ServeAsync(HttpContext context)
    {
        try
        {
            if (FakeRequest.Of(context.Request) is not { } request)
            {
                context.Response.StatusCode = 404;
                return;
            }
            _requests.Enqueue(request);
            if (await Refuse(request) is { } refusal)
            {
                if (refusal.RetryAfter is { } seconds)
                    context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
                throw new FakeStatusException(refusal.Code, refusal.Reason, refusal.Message);
            }
            if (!Store.Serves(request.Collection))
            {
                // As the real one: not even a Status.
                context.Response.StatusCode = 404;
                await context.Response.WriteAsync("404 page not found\n");
                return;
            }
            if (request.Verb == "watch")
            {
                await WatchAsync(context, request);
                return;
            }
            var answer = request.Verb == "list" ? List(request) : await AnswerAsync(context, request);
            if (LoseAnswer(request))
                context.Abort();
            else
                await WriteAsync(context, request.Verb == "create" ? 201 : 200, answer);
        }
        catch (FakeStatusException e) when (!context.Response.HasStarted)
        {
            await WriteAsync(context, e.Code, Status(e));
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody is there to answer to.
        }
    }

    private async Task<JsonObject> AnswerAsync(HttpContext context, FakeRequest request)
    {
        var (collection, @namespace, name) = (request.Collection, request.Namespace, request.Name ?? "");
        var body = request.Verb is "create" or "update" or "patch"
            ? (JsonObject)(await JsonNode.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted))!
            : [];
        return request.Verb switch
        {
            "get" => Store.Get(collection, @namespace, name),
            "create" => Store.Create(collection, @namespace, body),
            "update" => Store.Replace(collection, @namespace, name, body, request.Status),
            "delete" => Store.Delete(collection, @namespace, name),
            _ => context.Request.ContentType switch
            {
                "application/merge-patch+json" => Store.MergePatch(collection, @namespace, name, body, request.Status),
                "application/apply-patch+yaml" => Store.Apply(
                    collection, @namespace, name, body, request.Query["fieldManager"].ToString(), request.Query["force"] == "true", request.Status),
                var type => throw new FakeStatusException(415, "UnsupportedMediaType", $"the body of the request was in an unknown format: {type}"),
            },
        };
    }

    private JsonObject List(FakeRequest request)
    {
        long version;
        IReadOnlyList<JsonObject> items;
        if (request.IsNextPage)
        {
            if (!_pages.TryRemove(request.Query["continue"].ToString(), out var page))
                throw new FakeStatusException(410, "Expired", "The provided continue parameter is too old to display a consistent list result.");
            (version, items) = page;
        }
        else
        {
            var selector = FakeSelector.Of(request.Query);
            (version, var all) = Store.List(request.Collection, request.Namespace.Length == 0 ? null : request.Namespace);
            items = [.. all.Where(selector.Matches)];
        }
        var metadata = new JsonObject { ["resourceVersion"] = version.ToString(CultureInfo.InvariantCulture) };
        if (int.TryParse(request.Query["limit"], out var limit) && limit > 0 && items.Count > limit)
        {
            var token = $"page{Interlocked.Increment(ref _tokens)}";
            _pages[token] = (version, [.. items.Skip(limit)]);
            metadata["continue"] = token;
            metadata["remainingItemCount"] = items.Count - limit;
            items = [.. items.Take(limit)];
        }
        return new JsonObject
        {
            ["kind"] = "List", ["apiVersion"] = "v1", ["metadata"] = metadata,
            ["items"] = new JsonArray([.. items.Select(item => item.DeepClone())]),
        };
    }

    private async Task WatchAsync(HttpContext context, FakeRequest request)
    {
        var from = long.Parse(request.Query["resourceVersion"].ToString(), CultureInfo.InvariantCulture);
        var watch = new FakeWatch(context, request, Store, BookmarkInterval);
        if (Store.Since(from) is null && !GoneInStream)
            throw FakeWatch.Gone(from);
        _watches[watch] = 0;
        try
        {
            await watch.RunAsync(from);
        }
        finally
        {
            _watches.TryRemove(watch, out _);
        }
    }

    internal static JsonObject Status(FakeStatusException e) => new()
    {
        ["kind"] = "Status", ["apiVersion"] = "v1", ["metadata"] = new JsonObject(), ["status"] = "Failure",
        ["message"] = e.Message, ["reason"] = e.Reason, ["code"] = e.Code,
        ["details"] = new JsonObject { ["causes"] = new JsonArray([.. e.Causes.Select(cause => new JsonObject { ["reason"] = cause })]) },
    };

    private static Task WriteAsync(HttpContext context, int code, JsonObject body)
    {
        context.Response.StatusCode = code;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(body.ToJsonString(), context.RequestAborted);
    }
}
