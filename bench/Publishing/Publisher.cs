using System.Net;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace WebhookOperator.Bench.Publishing;

internal enum EventMode
{
    Binary,

    /// <summary>Ids as random as a UUID of version 4; elsewhere they grow, as those of version 7 do.</summary>
    BinaryInNoOrder,
    Structured,
    Batch,
}

/// <summary>Publishes events over HTTP and adds up what the operator accepted. Thread-safe.</summary>
internal sealed class Publisher
{
    public const int BatchSize = 100;

    private readonly HttpMessageInvoker _http;
    private readonly Uri _events;
    private readonly AuthenticationHeaderValue? _authorization;
    private long _lastId;
    private long _accepted;
    private long _idSum;

    /// <param name="http">Its connections are shared with whoever else uses it.</param>
    /// <param name="api">Where the operator's API listens.</param>
    /// <param name="namespace">Where the events are published.</param>
    /// <param name="token">Of a ServiceAccount, where the operator wants one.</param>
    public Publisher(HttpMessageInvoker http, Uri api, string @namespace = Manifests.Namespace, string? token = null)
    {
        _http = http;
        _events = new Uri(api, $"/v1/namespaces/{@namespace}/events");
        _authorization = token is null ? null : new AuthenticationHeaderValue("Bearer", token);
    }

    /// <summary>Events that were answered with 202.</summary>
    public long Accepted => Volatile.Read(ref _accepted);

    /// <summary>The sum of the ids that they were given, wrapping.</summary>
    public long IdSum => Volatile.Read(ref _idSum);

    public static int EventsPerRequest(EventMode mode) => mode == EventMode.Batch ? BatchSize : 1;

    public Task PublishAsync(EventMode mode, CancellationToken cancellation) => mode switch
    {
        EventMode.Binary => PublishAsync(EventBody.Type, cancellation),
        EventMode.BinaryInNoOrder => SendAsync(EventBody.Data(), "application/json", (EventBody.Type, Scattered(Interlocked.Increment(ref _lastId))), 1, cancellation),
        EventMode.Structured => SendAsync(
            EventBody.Structured(Interlocked.Increment(ref _lastId)), "application/cloudevents+json", null, 1, cancellation),
        _ => SendAsync(
            EventBody.Batch(Interlocked.Add(ref _lastId, BatchSize) - BatchSize + 1, BatchSize),
            "application/cloudevents-batch+json", null, BatchSize, cancellation),
    };

    /// <summary>Publishes one event in binary mode.</summary>
    /// <returns>The answer.</returns>
    public Task<byte[]> PublishAsync(string type, CancellationToken cancellation) =>
        SendAsync(EventBody.Data(), "application/json", (type, Interlocked.Increment(ref _lastId).ToString("D19")), 1, cancellation);

    /// <summary>The attributes of an event in binary mode.</summary>
    public static void AddAttributes(HttpRequestHeaders headers, string type, string id)
    {
        headers.TryAddWithoutValidation("ce-specversion", "1.0");
        headers.TryAddWithoutValidation("ce-id", id);
        headers.TryAddWithoutValidation("ce-source", EventBody.Source);
        headers.TryAddWithoutValidation("ce-type", type);
    }

    /// <summary>A UUID for each number, in no order.</summary>
    private static string Scattered(long number)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(MemoryMarshal.AsBytes(new ReadOnlySpan<long>(in number)), hash);
        return new Guid(hash[..16]).ToString();
    }

    private async Task<byte[]> SendAsync(byte[] body, string mediaType, (string Type, string Id)? binary, int events, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, _events) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(mediaType);
        request.Headers.Authorization = _authorization;
        if (binary is { } attributes)
            AddAttributes(request.Headers, attributes.Type, attributes.Id);
        using var response = await _http.SendAsync(request, cancellation);
        var answer = await response.Content.ReadAsByteArrayAsync(cancellation);
        if (response.StatusCode != HttpStatusCode.Accepted)
            throw new InvalidOperationException($"The operator answered {(int)response.StatusCode}: {Encoding.UTF8.GetString(answer)}");
        if (Count(answer) is var accepted && accepted != events)
            throw new InvalidOperationException($"Of {events} events {accepted} were accepted: {Encoding.UTF8.GetString(answer)}");
        return answer;
    }

    /// <summary>Finds ids by their look alone: reading the JSON properly would cost the measurement more.</summary>
    private int Count(ReadOnlySpan<byte> answer)
    {
        var (count, sum) = (0, 0L);
        while (answer.IndexOf("\"evt_"u8) is >= 0 and var quote)
        {
            answer = answer[(quote + 1)..];
            var end = answer.IndexOf((byte)'"');
            if (!EventId.TryParse(Encoding.ASCII.GetString(answer[..end]), out var id))
                throw new InvalidOperationException($"No event id: {Encoding.ASCII.GetString(answer[..end])}");
            sum = unchecked(sum + id.Value);
            count++;
            answer = answer[end..];
        }
        Interlocked.Add(ref _idSum, sum);
        Interlocked.Add(ref _accepted, count);
        return count;
    }
}
