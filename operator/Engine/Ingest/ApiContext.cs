using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Ingest;

/// <summary>What a caller wants of a namespace.</summary>
internal enum ApiAccess
{
    /// <summary>Publish events.</summary>
    Publish,

    /// <summary>Read subscriptions and the delivery log.</summary>
    Read,

    /// <summary>Redeliver and replay.</summary>
    Redeliver,
}

/// <summary>Decides whether the caller may; null if so, else the 401 or 403 to answer.</summary>
internal delegate ValueTask<Problem?> Authorize(HttpContext context, string @namespace, ApiAccess access);

/// <summary>The subscriptions as resources, which the engine only passes on: JSON, status and all.</summary>
/// <param name="List">All of one namespace.</param>
/// <param name="Get">One by namespace and name; null if there is none.</param>
internal sealed record SubscriptionDirectory(
    Func<string, IReadOnlyList<ReadOnlyMemory<byte>>> List, Func<string, string, SubscriptionResource?> Get);

internal sealed record SubscriptionResource(string Uid, ReadOnlyMemory<byte> Json);

/// <summary>How the HTTP API reaches the dispatcher.</summary>
/// <param name="Pending">Pending deliveries of all subscriptions.</param>
/// <param name="Offer">Hands over what was just stored.</param>
/// <param name="Reopen">Says of a subscription how many finished deliveries were made pending again.</param>
internal sealed record DeliveryPort(Func<long> Pending, Action<ImmutableArray<EnqueueResult>> Offer, Action<string, int> Reopen);

/// <param name="MaxEventBytes">Of one event.</param>
/// <param name="MaxBatchBytes">Of a batch.</param>
/// <param name="MaxPending">Pending deliveries at which publishing answers 429.</param>
internal sealed record IngestLimits(int MaxEventBytes, int MaxBatchBytes, long MaxPending);

/// <summary>What the HTTP API works with.</summary>
internal sealed record ApiContext(
    RouteSource Routes, IDeliveryStore Store, DeliveryPort Deliveries, SubscriptionDirectory Subscriptions, Authorize Authorize,
    IngestLimits Limits, Instruments Instruments, TimeProvider Time, ILogger Logger)
{
    /// <summary>What a client is to wait before it tries again what the store could not take.</summary>
    public static readonly TimeSpan StoreRetry = TimeSpan.FromSeconds(5);

    /// <summary>Answers 503 where the store can't; everything else is the handler's own.</summary>
    public RequestDelegate Guarded(RequestDelegate handler) => async context =>
    {
        try
        {
            await handler(context);
        }
        catch (StoreUnavailableException e) when (!context.Response.HasStarted)
        {
            Logger.ApiStoreUnavailable(context.Request.Path, e.Message);
            await StoreUnavailable.WriteAsync(context);
        }
        catch (Exception e) when (!context.Response.HasStarted && RequestBody.ProblemOf(e) is not null)
        {
            await RequestBody.ProblemOf(e)!.WriteAsync(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller has gone; nobody is left to answer.
        }
    };

    public static Problem StoreUnavailable { get; } =
        new(StatusCodes.Status503ServiceUnavailable, "The store can't take or give anything right now; nothing was stored. Try again later.")
        {
            RetryAfter = StoreRetry,
        };
}
