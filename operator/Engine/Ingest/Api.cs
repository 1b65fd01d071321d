namespace WebhookOperator.Engine.Ingest;

/// <summary>The routes of the HTTP API.</summary>
internal static class Api
{
    private const string Root = "/v1/namespaces/{ns}";

    public static void Map(IEndpointRouteBuilder routes, ApiContext context)
    {
        var ingest = new IngestEndpoint(context);
        var deliveries = new DeliveriesEndpoint(context);
        routes.MapPost($"{Root}/events", context.Guarded(ingest.HandleAsync));
        routes.MapGet($"{Root}/subscriptions", context.Guarded(deliveries.ListSubscriptionsAsync));
        routes.MapGet($"{Root}/subscriptions/{{name}}", context.Guarded(deliveries.GetSubscriptionAsync));
        routes.MapGet($"{Root}/subscriptions/{{name}}/deliveries", context.Guarded(deliveries.ListDeliveriesAsync));
        routes.MapPost($"{Root}/subscriptions/{{name}}/replay", context.Guarded(deliveries.ReplayAsync));
        routes.MapGet($"{Root}/deliveries/{{id}}", context.Guarded(deliveries.GetDeliveryAsync));
        routes.MapPost($"{Root}/deliveries/{{id}}/redeliver", context.Guarded(deliveries.RedeliverAsync));
    }

    /// <summary>Answers what no route takes: problems too, not empty pages.</summary>
    public static Task NoRouteAsync(HttpContext context) => context.Response.StatusCode switch
    {
        StatusCodes.Status405MethodNotAllowed => new Problem(
            StatusCodes.Status405MethodNotAllowed, $"{context.Request.Path} does not take {context.Request.Method}; the header Allow says what it takes.").WriteAsync(context),
        StatusCodes.Status404NotFound => new Problem(
            StatusCodes.Status404NotFound, $"There is nothing at {context.Request.Path}; events go to POST /v1/namespaces/NAMESPACE/events.").WriteAsync(context),
        _ => Task.CompletedTask,
    };
}
