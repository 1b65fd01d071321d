using System.Text.Json;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Ingest;

/// <summary>Subscriptions and their delivery log: reading, redelivery and replay.</summary>
internal sealed class DeliveriesEndpoint(ApiContext api)
{
    private const int MaxReplayBytes = 64 * 1024;

    public Task ListSubscriptionsAsync(HttpContext context) => WithAccessAsync(context, ApiAccess.Read, @namespace =>
    {
        var resources = api.Subscriptions.List(@namespace);
        return AnswerAsync(context, StatusCodes.Status200OK, writer =>
        {
            writer.WriteStartObject();
            writer.WriteStartArray("items");
            foreach (var json in resources)
                writer.WriteRawValue(json.Span, skipInputValidation: true);
            writer.WriteEndArray();
            writer.WriteEndObject();
        });
    });

    public Task GetSubscriptionAsync(HttpContext context) => WithSubscriptionAsync(context, ApiAccess.Read, (_, resource) =>
        AnswerAsync(context, StatusCodes.Status200OK, writer => writer.WriteRawValue(resource.Json.Span, skipInputValidation: true)));

    public Task ListDeliveriesAsync(HttpContext context) => WithSubscriptionAsync(context, ApiAccess.Read, async (_, resource) =>
    {
        if (QueryParsing.Parse(context.Request.Query, api.Time.GetUtcNow(), out var query) is { } problem)
            return problem;
        var page = await api.Store.ListDeliveriesAsync(resource.Uid, query, context.RequestAborted);
        return await AnswerAsync(context, StatusCodes.Status200OK, writer => LogJson.Write(writer, page));
    });

    public Task GetDeliveryAsync(HttpContext context) => WithAccessAsync(context, ApiAccess.Read, async @namespace =>
    {
        if (IdOf(context) is not { } id || await api.Store.GetDeliveryAsync(@namespace, id, context.RequestAborted) is not { } detail)
            return NoDelivery(context, @namespace);
        return await AnswerAsync(context, StatusCodes.Status200OK, writer => LogJson.Write(writer, detail));
    });

    public Task RedeliverAsync(HttpContext context) => WithAccessAsync(context, ApiAccess.Redeliver, async @namespace =>
    {
        if (IdOf(context) is not { } id || await api.Store.GetDeliveryAsync(@namespace, id, context.RequestAborted) is not { } detail)
            return NoDelivery(context, @namespace);
        // One of the same name may have been created since; no lane would ever send this delivery.
        if (api.Subscriptions.Get(@namespace, detail.Subscription.Name)?.Uid != detail.SubscriptionUid)
        {
            return new Problem(StatusCodes.Status409Conflict,
                $"The delivery '{id}' was for a WebhookSubscription '{detail.Subscription.Name}' that was deleted, so it can't be sent again "
                + "(if there is one of that name, it is a new one). Publish the event again, with another id.");
        }
        // What is pending again must be told to its lane, so a caller that goes away does not end this half way.
        if (await api.Store.RedeliverAsync(@namespace, id, api.Time.GetUtcNow(), CancellationToken.None) is not { } redelivery)
            return NoDelivery(context, @namespace);
        api.Deliveries.Reopen(redelivery.SubscriptionUid, redelivery.Reopened ? 1 : 0);
        return await AnswerCountAsync(context, 1);
    });

    public Task ReplayAsync(HttpContext context) => WithSubscriptionAsync(context, ApiAccess.Redeliver, async (_, resource) =>
    {
        if (await RequestBody.ReadAsync(context.Request, MaxReplayBytes) is not { } body)
            return new Problem(StatusCodes.Status413PayloadTooLarge, $"The body is larger than {MaxReplayBytes} bytes.");
        var now = api.Time.GetUtcNow();
        if (QueryParsing.Parse(body, now, out var query) is { } problem)
            return problem;
        var count = 0;
        try
        {
            // As above.
            await api.Store.ReplayAsync(resource.Uid, query, now, Replayed, CancellationToken.None);
        }
        catch (StoreUnavailableException e) when (count > 0)
        {
            api.Logger.ApiStoreUnavailable(context.Request.Path, e.Message);
            return new Problem(StatusCodes.Status503ServiceUnavailable,
                $"The store can't take any more right now. {count} deliveries were replayed and are under way; the same call again does the rest.")
            {
                RetryAfter = ApiContext.StoreRetry,
            };
        }
        return await AnswerCountAsync(context, count);

        void Replayed(int chunk)
        {
            count += chunk;
            api.Deliveries.Reopen(resource.Uid, chunk);
        }
    });

    private async Task WithAccessAsync(HttpContext context, ApiAccess access, Func<string, Task<Problem?>> answer)
    {
        var @namespace = (string)context.Request.RouteValues["ns"]!;
        var problem = await api.Authorize(context, @namespace, access)
            ?? (api.Routes.Current.TryGet(@namespace, out _)
                ? await answer(@namespace)
                : IngestEndpoint.UnknownNamespace(api, @namespace));
        if (problem is not null)
            await problem.WriteAsync(context);
    }

    private Task WithSubscriptionAsync(HttpContext context, ApiAccess access, Func<string, SubscriptionResource, Task<Problem?>> answer) =>
        WithAccessAsync(context, access, async @namespace =>
        {
            var name = (string)context.Request.RouteValues["name"]!;
            return api.Subscriptions.Get(@namespace, name) is { } resource
                ? await answer(@namespace, resource)
                : new Problem(StatusCodes.Status404NotFound, $"There is no WebhookSubscription '{name}' in the namespace '{@namespace}'.");
        });

    private static DeliveryId? IdOf(HttpContext context) =>
        DeliveryId.TryParse((string)context.Request.RouteValues["id"]!, out var id) ? id : null;

    private static Problem NoDelivery(HttpContext context, string @namespace) => new(StatusCodes.Status404NotFound,
        $"There is no delivery '{context.Request.RouteValues["id"]}' in the namespace '{@namespace}'; an id looks like dlv_0123456789abc, "
        + "and deliveries are kept until retention ends.");

    private static Task<Problem?> AnswerCountAsync(HttpContext context, int count) =>
        AnswerAsync(context, StatusCodes.Status202Accepted, writer =>
        {
            writer.WriteStartObject();
            writer.WriteNumber("deliveries", count);
            writer.WriteEndObject();
        });

    private static async Task<Problem?> AnswerAsync(HttpContext context, int status, Action<Utf8JsonWriter> write)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        await using (var writer = new Utf8JsonWriter(context.Response.BodyWriter))
            write(writer);
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
        return null;
    }
}
