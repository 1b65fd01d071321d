using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;
using Microsoft.Net.Http.Headers;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Ingest;

/// <summary>
/// <c>POST /v1/namespaces/{ns}/events</c>: an event or a batch comes in, and 202 goes out once it is stored
/// with all its deliveries.
/// </summary>
internal sealed class IngestEndpoint(ApiContext api)
{
    private static readonly TimeSpan BacklogRetry = TimeSpan.FromSeconds(30);

    private static readonly Problem Unsupported = new(StatusCodes.Status415UnsupportedMediaType,
        $"Send a CloudEvent 1.0: as {MediaType.CloudEvent}, as a batch in {MediaType.CloudEventBatch}, or in binary mode with the attributes as headers "
        + "(ce-specversion, ce-id, ce-source, ce-type) and any Content-Type.");

    private static readonly JsonBytes Json = new(default);

    private readonly IngestResults _results = new(api.Instruments, api.Routes);

    private enum Mode { Binary, Structured, Batch }

    public async Task HandleAsync(HttpContext context)
    {
        var @namespace = (string)context.Request.RouteValues["ns"]!;
        var known = api.Routes.Current.TryGet(@namespace, out var table);
        Problem? problem;
        try
        {
            problem = await api.Authorize(context, @namespace, ApiAccess.Publish)
                ?? (known ? await IngestAsync(context, @namespace, table!) : UnknownNamespace(api, @namespace));
        }
        catch (StoreUnavailableException) when (known)
        {
            _results.Refused(@namespace, StatusCodes.Status503ServiceUnavailable);
            throw;
        }
        if (problem is null)
            return;
        if (known)
            _results.Refused(@namespace, problem.Status);
        await problem.WriteAsync(context);
    }

    public static Problem UnknownNamespace(ApiContext api, string @namespace)
    {
        var known = api.Routes.Current.Namespaces.Order(StringComparer.Ordinal).Take(10).ToArray();
        return new Problem(StatusCodes.Status404NotFound,
            $"The namespace '{@namespace}' is not known here. "
            + (known.Length == 0 ? "No namespace has a resource yet." : $"Known are: {string.Join(", ", known)}."));
    }

    private async Task<Problem?> IngestAsync(HttpContext context, string @namespace, RouteTable table)
    {
        // 1. Is there room?
        if (api.Deliveries.Pending() >= api.Limits.MaxPending)
            return new Problem(StatusCodes.Status429TooManyRequests,
                $"{api.Limits.MaxPending} deliveries are pending, which is the limit; nothing was stored. Try again once receivers have caught up.")
            {
                RetryAfter = BacklogRetry,
            };

        // 2. Read.
        if (ModeOf(context.Request) is not { } mode)
            return Unsupported;
        if (context.Request.Headers.ContentEncoding.Count > 0)
            return new Problem(StatusCodes.Status415UnsupportedMediaType, "The body must not be compressed; leave Content-Encoding out.");
        var limit = mode == Mode.Batch ? api.Limits.MaxBatchBytes : api.Limits.MaxEventBytes;
        byte[]? body;
        try
        {
            body = await RequestBody.ReadAsync(context.Request, limit);
        }
        catch (Exception e) when (RequestBody.ProblemOf(e) is not null)
        {
            return RequestBody.ProblemOf(e);
        }
        if (body is null)
            return TooLarge(mode == Mode.Batch ? "The batch" : "The event", limit);

        // 3. Parse all of it before any of it counts.
        var events = new List<Event>(1);
        if (Parse(mode, context.Request.Headers, body, events) is { } fault)
            return new Problem(StatusCodes.Status400BadRequest, fault.Message) { Field = fault.Field, Index = fault.Index };
        for (var i = 0; i < events.Count; i++)
            if (events[i].Body.Length > api.Limits.MaxEventBytes)
                return TooLarge($"Event {i} of the batch", api.Limits.MaxEventBytes) with { Index = i };

        // 4. Match, store in one commit, hand over, answer.
        var stored = await StoreAsync(@namespace, table, events);
        api.Deliveries.Offer(stored);
        foreach (var result in stored)
            if (result.Duplicate)
                _results.Duplicate(@namespace);
            else
                _results.Accepted(@namespace);
        Answer(context.Response, stored, mode == Mode.Batch);
        return null;
    }

    private Task<ImmutableArray<EnqueueResult>> StoreAsync(string @namespace, RouteTable table, List<Event> events)
    {
        if (events.Count == 0)
            return Task.FromResult(ImmutableArray<EnqueueResult>.Empty);
        var now = api.Time.GetUtcNow();
        var accepted = new NewEvent[events.Count];
        for (var i = 0; i < accepted.Length; i++)
        {
            var matches = new List<Subscription>();
            table.Match(events[i], matches);
            accepted[i] = new NewEvent(@namespace, events[i], matches, now);
        }
        // What is stored must be handed over, so a caller that goes away does not end this half way.
        return api.Store.EnqueueAsync(accepted, CancellationToken.None);
    }

    private static EventFault? Parse(Mode mode, IHeaderDictionary headers, byte[] body, List<Event> events)
    {
        if (mode == Mode.Batch)
            return CloudEventParser.ParseBatch(body, events);
        var parsed = mode == Mode.Structured
            ? CloudEventParser.ParseStructured(body, out var fault)
            : CloudEventParser.ParseBinary(headers, body, out fault);
        if (parsed is not null)
            events.Add(parsed);
        return fault;
    }

    /// <summary>HTTP binding 1.0.2, section 3: the content type tells structured from batch, all else is binary.</summary>
    private static Mode? ModeOf(HttpRequest request)
    {
        var contentType = request.ContentType.AsSpan();
        var end = contentType.IndexOf(';');
        var parameters = end < 0 ? [] : contentType[(end + 1)..].Trim();
        contentType = (end < 0 ? contentType : contentType[..end]).Trim();
        if (contentType.StartsWith("application/cloudevents", StringComparison.OrdinalIgnoreCase))
        {
            Mode? mode = contentType.Equals(MediaType.CloudEvent, StringComparison.OrdinalIgnoreCase) ? Mode.Structured
                : contentType.Equals(MediaType.CloudEventBatch, StringComparison.OrdinalIgnoreCase) ? Mode.Batch
                : null;
            return parameters.IsEmpty || IsUtf8(request.ContentType!) ? mode : null;
        }
        foreach (var header in request.Headers)
            if (header.Key.StartsWith("ce-", StringComparison.OrdinalIgnoreCase))
                return Mode.Binary;
        return null;
    }

    /// <summary>Unless it says otherwise, it is.</summary>
    private static bool IsUtf8(string contentType) =>
        MediaTypeHeaderValue.TryParse(contentType, out var parsed)
        && (!parsed.Charset.HasValue || parsed.Charset.AsSpan().Trim('"').Equals("utf-8", StringComparison.OrdinalIgnoreCase));

    private static Problem TooLarge(string what, int limit) =>
        new(StatusCodes.Status413PayloadTooLarge, $"{what} is larger than {limit} bytes; nothing was stored. Send large data by reference.");

    /// <summary>The server sends it once the request has been handled.</summary>
    private static void Answer(HttpResponse response, ImmutableArray<EnqueueResult> stored, bool asArray)
    {
        var json = Json.Write((stored, asArray), static (writer, answer) => WriteAnswer(writer, answer.stored, answer.asArray));
        response.StatusCode = StatusCodes.Status202Accepted;
        response.ContentType = "application/json";
        response.ContentLength = json.Length;
        response.BodyWriter.Write(json);
    }

    private static void WriteAnswer(Utf8JsonWriter writer, ImmutableArray<EnqueueResult> stored, bool asArray)
    {
        if (asArray)
            writer.WriteStartArray();
        foreach (var result in stored)
        {
            writer.WriteStartObject();
            writer.WriteString("id"u8, result.Id.ToString());
            writer.WriteNumber("deliveries"u8, result.Deliveries);
            writer.WriteBoolean("duplicate"u8, result.Duplicate);
            writer.WriteEndObject();
        }
        if (asArray)
            writer.WriteEndArray();
    }
}
