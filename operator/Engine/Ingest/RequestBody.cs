using System.Buffers;

namespace WebhookOperator.Engine.Ingest;

/// <summary>Reads a request's body into one array of its size, and no more than a limit.</summary>
internal static class RequestBody
{
    /// <summary>Null where it is larger than the limit; then no more than that was read.</summary>
    /// <exception cref="BadHttpRequestException">The body broke off or came too slowly.</exception>
    public static ValueTask<byte[]?> ReadAsync(HttpRequest request, int limit) => request.ContentLength switch
    {
        0 => new ValueTask<byte[]?>([]),
        > 0 and var length => length > limit ? new ValueTask<byte[]?>((byte[]?)null) : ReadKnownAsync(request, (int)length),
        _ => ReadUnknownAsync(request, limit),
    };

    /// <summary>What to answer where reading threw; null if it is no fault of the caller.</summary>
    public static Problem? ProblemOf(Exception e) => e switch
    {
        BadHttpRequestException { StatusCode: StatusCodes.Status408RequestTimeout } =>
            new Problem(StatusCodes.Status408RequestTimeout, "The body came too slowly; nothing was stored."),
        BadHttpRequestException or EndOfStreamException =>
            new Problem(StatusCodes.Status400BadRequest, "The body broke off before its end; nothing was stored."),
        _ => null,
    };

    private static async ValueTask<byte[]?> ReadKnownAsync(HttpRequest request, int length)
    {
        var body = GC.AllocateUninitializedArray<byte>(length);
        await request.Body.ReadExactlyAsync(body, request.HttpContext.RequestAborted);
        return body;
    }

    private static async ValueTask<byte[]?> ReadUnknownAsync(HttpRequest request, int limit)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(Math.Min(limit + 1, 16 * 1024));
        try
        {
            var length = 0;
            while (true)
            {
                if (length == buffer.Length)
                    buffer = Grow(buffer, limit);
                var read = await request.Body.ReadAsync(buffer.AsMemory(length), request.HttpContext.RequestAborted);
                if (read == 0)
                    return buffer[..length];
                length += read;
                if (length > limit)
                    return null;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static byte[] Grow(byte[] buffer, int limit)
    {
        var larger = ArrayPool<byte>.Shared.Rent(Math.Min(limit + 1, buffer.Length * 2));
        buffer.CopyTo(larger, 0);
        ArrayPool<byte>.Shared.Return(buffer);
        return larger;
    }
}
