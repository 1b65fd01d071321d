using System.IO.Compression;
using Microsoft.AspNetCore.Http;

namespace WebhookOperator.Tests.Testing;

/// <summary>What a <see cref="Receiver"/> does with a request, once it has been recorded.</summary>
/// <param name="ended">The client has gone away, or the receiver stops.</param>
internal delegate Task Answer(HttpContext context, Received request, CancellationToken ended);

/// <summary>Good answers and bad ones.</summary>
internal static class Answers
{
    private const int Chunk = 64 * 1024;

    /// <summary>Never answers.</summary>
    public static readonly Answer Hang = (_, _, ended) => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, ended);

    /// <summary>Breaks the connection without an answer.</summary>
    public static readonly Answer Reset = (context, _, _) =>
    {
        context.Abort();
        return Task.CompletedTask;
    };

    public static Answer Status(int code, string body = "", params (string Name, string Value)[] headers) => (context, _, ended) =>
    {
        context.Response.StatusCode = code;
        foreach (var (name, value) in headers)
            context.Response.Headers.Append(name, value);
        return body.Length == 0 ? Task.CompletedTask : context.Response.WriteAsync(body, ended);
    };

    public static Answer Redirect(string location, int code = 302) => Status(code, headers: ("Location", location));

    /// <summary>A function of the request that chooses the answer.</summary>
    public static Answer By(Func<Received, Answer> choose) => (context, request, ended) => choose(request)(context, request, ended);

    /// <summary>The answers in turn; the last one for all that follow.</summary>
    public static Answer Sequence(params Answer[] answers)
    {
        var next = -1;
        return (context, request, ended) =>
            answers[Math.Min(Interlocked.Increment(ref next), answers.Length - 1)](context, request, ended);
    }

    /// <summary>Holds the answer back until the signal.</summary>
    public static Answer After(Task signal, Answer answer) => async (context, request, ended) =>
    {
        await signal.WaitAsync(ended);
        await answer(context, request, ended);
    };

    /// <summary>Status and headers at once, then a byte of the body now and then, without end.</summary>
    public static Answer Drip(TimeSpan interval) => async (context, _, ended) =>
    {
        while (true)
        {
            await context.Response.WriteAsync(".", ended);
            await Task.Delay(interval, TimeProvider.System, ended);
        }
    };

    /// <summary>A body of so many bytes.</summary>
    public static Answer Large(long bytes) => async (context, _, ended) =>
    {
        context.Response.ContentLength = bytes;
        var chunk = new byte[Chunk];
        chunk.AsSpan().Fill((byte)'x');
        for (var rest = bytes; rest > 0; rest -= Chunk)
            await context.Response.Body.WriteAsync(chunk.AsMemory(0, (int)Math.Min(Chunk, rest)), ended);
    };

    /// <summary>A small body that says it unpacks to so many bytes, and does.</summary>
    public static Answer GzipBomb(long bytes) => async (context, _, ended) =>
    {
        context.Response.Headers.ContentEncoding = "gzip";
        await using var gzip = new GZipStream(context.Response.Body, CompressionLevel.Optimal);
        var chunk = new byte[Chunk];
        for (var rest = bytes; rest > 0; rest -= Chunk)
            await gzip.WriteAsync(chunk, ended);
    };
}
