using System.Net;
using k8s;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Prometheus;
using WebhookOperator.Api;
using WebhookOperator.Cli;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Ingest;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Postgres;
using WebhookOperator.Engine.Store.Sqlite;
using WebhookOperator.Reconcile;
using WebhookOperator.Status;
using WebhookOperator.Telemetry;

namespace WebhookOperator;

/// <summary>The composition root: makes every part, starts them in order, and stops them in the reverse order.</summary>
internal sealed partial class OperatorHost
{
    private readonly Settings _settings;
    private readonly TimeProvider _time = TimeProvider.System;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly Stack<Func<Task>> _stops = new();
    private readonly BackgroundLoops _loops;
    private volatile Func<string?> _notReady = () => "starting";

    private OperatorHost(Settings settings)
    {
        _settings = settings;
        _loggers = LoggerFactory.Create(logging => Logs.Configure(logging, settings));
        _logger = _loggers.CreateLogger<OperatorHost>();
        _loops = new BackgroundLoops(_logger);
        _stops.Push(() =>
        {
            _loggers.Dispose();
            return Task.CompletedTask;
        });
    }

    /// <inheritdoc cref="LaunchOperator"/>
    public static async Task<RunningOperator> LaunchAsync(
        Settings settings, Action<AttemptReport>? onAttempt, CancellationToken cancellation)
    {
        var host = new OperatorHost(settings);
        try
        {
            var (api, metrics) = await host.StartAsync(onAttempt, cancellation);
            return new RunningOperator(api, metrics, host.StopAsync);
        }
        catch
        {
            await host.StopAsync();
            throw;
        }
    }

    private async Task<(Uri Api, Uri Metrics)> StartAsync(Action<AttemptReport>? onAttempt, CancellationToken cancellation)
    {
        // 1. Metrics and probes first: they tell what the rest is waiting for.
        var instruments = new Instruments(Prometheus.Metrics.NewCustomRegistry());
        DotNetStats.Register(instruments.Registry);
        instruments.BacklogLimit.Set(_settings.BacklogLimit);
        IDeliveryStore? store = null;
        var metrics = await ServeAsync(_settings.Metrics, app =>
        {
            app.MapGet("/metrics", context => Exposition.AnswerAsync(context, instruments));
            app.MapGet("/healthz", context => AnswerAsync(context, _loops.Fault));
            app.MapGet("/readyz", context => AnswerAsync(context, Obstacle(store)));
        });
        instruments.Registry.AddBeforeCollectCallback(() => instruments.Ready.Set(Obstacle(store) is null ? 1 : 0));

        // 2. The store, and what earlier processes left in it.
        store = await OpenStoreAsync(instruments, cancellation);
        Stopping(async () => await store.DisposeAsync());
        var shared = store as ISharedStore;
        var sender = new Sender(new AddressGuard(_settings.AllowCidrs), _time);
        Stopping(sender.Dispose);
        var random = Random(new Random());
        var dispatcher = new Dispatcher(new LaneContext(
            store, sender.SendAsync, instruments, _time, random, _loggers.CreateLogger<Dispatcher>(), onAttempt), shared);
        Stopping(async () => await dispatcher.DisposeAsync());
        await dispatcher.StartAsync(cancellation);
        if (shared is null)
            instruments.ShardsOwned.Set(Shard.Count);

        // 3. Resources, and what is made of them.
        var dependencies = new DependencyIndex();
        var resources = _settings.Manifests is not null
            ? ResourceSide.OpenFolder(_settings, _time, _loggers)
            : ResourceSide.OpenCluster(_settings, dependencies, _time, random, _loggers);
        Stopping(resources.CloseAsync);
        instruments.Registry.AddBeforeCollectCallback(() => instruments.Leader.Set(resources.Leads() ? 1 : 0));
        var routes = new RouteSource();
        var specStatus = new SpecStatusWriter(resources.Source, resources.Leads, resources.Tell, _time, instruments);
        var deliveryStatus = new DeliveryStatusWriter(
            resources.Source, dispatcher.SnapshotAsync, resources.Pace, resources.Tell, _time, random, instruments,
            _loggers.CreateLogger<DeliveryStatusWriter>());
        var scope = new NamespaceScope(_settings.Namespaces);
        var reconcile = new ReconcileLoop(
            resources.Source, dependencies, scope, resources.Leads, new SubscriptionTranslator(_settings.AllowHttp), routes,
            Callbacks(sender, dispatcher), specStatus, deliveryStatus, resources.Tell, _time, random, instruments,
            _loggers);
        Stopping(reconcile.Dispose);
        // The source outlives the dispatcher and the status of what that did last: leadership too.
        Loop("resources", token => resources.RunAsync(reconcile.Lead, token));
        Loop("status", deliveryStatus.RunAsync);
        Stopping(() => dispatcher.StopAsync(_settings.ShutdownGrace));
        Loop("reconcile", reconcile.RunAsync);
        _notReady = () => resources.Fault() ?? "reading resources";
        await reconcile.FirstSync.WaitAsync(cancellation);
        await dispatcher.CancelOrphansAsync(scope.Contains, cancellation);
        if (shared is not null)
        {
            Loop("shards", new ShardKeeper(
                shared, dispatcher, scope.Contains, _settings.ShutdownGrace, instruments, _time, random, _loggers.CreateLogger<ShardKeeper>()).RunAsync);
        }
        Loop("upkeep", new Upkeep(store, dispatcher, _settings.Retention, _time, _loggers.CreateLogger<Upkeep>()).RunAsync);

        // 4. Publishers last: from here on events find their routes.
        var context = new ApiContext(
            routes, store, new DeliveryPort(() => dispatcher.Pending, dispatcher.Offer, dispatcher.Reopen), Directory(resources.Source),
            resources.Authorize, new IngestLimits(_settings.MaxEventBytes, _settings.MaxBatchBytes, _settings.BacklogLimit), instruments, _time,
            _loggers.CreateLogger("WebhookOperator.Engine.Ingest"));
        var api = await ServeAsync(_settings.Listen, app => Engine.Ingest.Api.Map(app, context));
        // Reading thousands of manifests leaves much behind that an idle process would keep for hours.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        if (SocketThreads.TakeTurns() is { } refusal)
            SocketThreadsRefused(refusal);
        _notReady = () => null;
        Started(api, metrics);
        return (api, metrics);
    }

    private async Task<IDeliveryStore> OpenStoreAsync(Instruments instruments, CancellationToken cancellation) => _settings.Postgres is { } text
        ? await PostgresStore.OpenAsync(text.Value, instruments, _time, _loggers.CreateLogger<PostgresStore>(), cancellation)
        : await SqliteStore.OpenAsync(_settings.StorePath, instruments, _time, _loggers.CreateLogger<SqliteStore>(), cancellation);

    private async Task StopAsync()
    {
        _notReady = () => "stopping";
        while (_stops.TryPop(out var stop))
        {
            try
            {
                await stop();
            }
            catch (Exception e)
            {
                StopFailed(e); // The others must stop all the same.
            }
        }
    }

    private void Stopping(Func<Task> stop) => _stops.Push(stop);

    private void Stopping(Action stop) => _stops.Push(() =>
    {
        stop();
        return Task.CompletedTask;
    });

    private void Loop(string name, Func<CancellationToken, Task> run) => Stopping(_loops.Start(name, run));

    private async Task<Uri> ServeAsync(Uri listen, Action<WebApplication> map)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(_loggers);
        builder.Services.AddRoutingCore();
        // A connection that waits keeps its buffer of 4 KiB; to ask first whether there is something to read takes one more
        // system call for each request.
        builder.Services.Configure<SocketTransportOptions>(sockets => sockets.WaitForDataBeforeAllocatingBuffer = false);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // The API has limits of its own, with answers that say what they are.
            kestrel.Limits.MaxRequestBodySize = null;
        });
        var app = builder.Build();
        app.Urls.Add(listen.GetLeftPart(UriPartial.Authority));
        app.UseRouting();
        app.Use(async (context, next) =>
        {
            await next(context);
            if (!context.Response.HasStarted)
                await Engine.Ingest.Api.NoRouteAsync(context);
        });
        map(app);
        await app.StartAsync();
        Stopping(async () =>
        {
            await app.StopAsync();
            await app.DisposeAsync();
        });
        return new Uri(app.Urls.First());
    }

    /// <summary>Null if ready.</summary>
    private string? Obstacle(IDeliveryStore? store) =>
        _notReady() ?? (store?.Fault is { } fault ? $"store: {fault}" : null);

    private static Task AnswerAsync(HttpContext context, string? fault)
    {
        context.Response.StatusCode = fault is null ? (int)HttpStatusCode.OK : (int)HttpStatusCode.ServiceUnavailable;
        return context.Response.WriteAsync(fault is null ? "ok\n" : fault + "\n", context.RequestAborted);
    }

    private static SubscriptionDirectory Directory(IResourceSource source) => new(
        @namespace =>
        [
            .. source.Subscriptions.Where(s => s.Metadata.NamespaceProperty == @namespace)
                .OrderBy(s => s.Metadata.Name, StringComparer.Ordinal).Select(Json),
        ],
        (@namespace, name) => source.TryGetSubscription(@namespace, name, out var subscription)
            ? new SubscriptionResource(subscription.Metadata.Uid, Json(subscription))
            : null);

    private static ReadOnlyMemory<byte> Json(WebhookSubscription subscription) =>
        System.Text.Encoding.UTF8.GetBytes(KubernetesJson.Serialize(subscription));

    /// <summary>The sender first, so that attempts find what they share.</summary>
    private static SubscriptionCallbacks Callbacks(Sender sender, Dispatcher dispatcher) => new(
        subscription =>
        {
            sender.Keep(subscription);
            dispatcher.Upsert(subscription);
        },
        uid =>
        {
            dispatcher.Remove(uid);
            sender.Forget(uid);
        });

    /// <summary>For any thread.</summary>
    private static Func<double> Random(Random random) => () =>
    {
        lock (random)
            return random.NextDouble();
    };

    [LoggerMessage(LogLevel.Information, "The API listens on {Api}, metrics and probes on {Metrics}")]
    private partial void Started(Uri api, Uri metrics);

    [LoggerMessage(LogLevel.Debug, "The scheduling of socket threads can't be changed, so under load the operator takes a little more processor time: {Reason}")]
    private partial void SocketThreadsRefused(string reason);

    [LoggerMessage(LogLevel.Error, "A part could not be stopped in order")]
    private partial void StopFailed(Exception exception);
}
