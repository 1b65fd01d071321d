using System.Buffers;
using System.Text.Json;

namespace WebhookOperator.Kube;

internal enum WatchFrameKind
{
    /// <summary>The object is new or has changed.</summary>
    Put,
    Deleted,

    /// <summary>Nothing but the state that the watch has reached.</summary>
    Bookmark,

    /// <summary>The watch has failed; what follows the type is a <c>Status</c>.</summary>
    Error,

    /// <summary>A type that a later Kubernetes may send.</summary>
    Unknown,
}

/// <summary>Receives one frame; the bytes are gone when it returns.</summary>
internal delegate void WatchFrameReader(WatchFrameKind kind, ReadOnlySpan<byte> @object);

/// <summary>Reads the frames of a watch: one JSON object a line, <c>{"type": …, "object": …}</c>.</summary>
internal static class WatchStream
{
    private const int FirstBuffer = 16 * 1024;

    /// <summary>Reads until the stream ends. A last line without its end is dropped: it was cut.</summary>
    /// <param name="onProgress">Called whenever bytes have arrived.</param>
    /// <exception cref="JsonException">A line is no frame.</exception>
    public static async Task ReadAsync(Stream stream, WatchFrameReader onFrame, Action onProgress, CancellationToken cancellation)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(FirstBuffer);
        try
        {
            var length = 0;
            while (true)
            {
                var read = await stream.ReadAsync(buffer.AsMemory(length), cancellation);
                if (read == 0)
                    return;
                onProgress();
                var searched = length;
                length += read;
                var start = 0;
                while (buffer.AsSpan(searched, length - searched).IndexOf((byte)'\n') is >= 0 and var end)
                {
                    Parse(buffer.AsSpan(start, searched + end - start), onFrame);
                    start = searched = searched + end + 1;
                }
                buffer.AsSpan(start, length - start).CopyTo(buffer);
                length -= start;
                if (length == buffer.Length)
                {
                    var larger = ArrayPool<byte>.Shared.Rent(2 * buffer.Length);
                    buffer.CopyTo(larger, 0);
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = larger;
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static void Parse(ReadOnlySpan<byte> line, WatchFrameReader onFrame)
    {
        line = line.Trim(" \r\t"u8);
        if (line.IsEmpty)
            return;
        var kind = WatchFrameKind.Unknown;
        var item = ReadOnlySpan<byte>.Empty;
        var reader = new Utf8JsonReader(line);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isType = reader.ValueTextEquals("type"u8);
            var isObject = reader.ValueTextEquals("object"u8);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            if (isType)
                kind = KindOf(ref reader);
            reader.Skip();
            if (isObject)
                item = line[start..(int)reader.BytesConsumed];
        }
        onFrame(kind, item);
    }

    private static WatchFrameKind KindOf(ref Utf8JsonReader reader) =>
        reader.ValueTextEquals("ADDED"u8) || reader.ValueTextEquals("MODIFIED"u8) ? WatchFrameKind.Put
        : reader.ValueTextEquals("DELETED"u8) ? WatchFrameKind.Deleted
        : reader.ValueTextEquals("BOOKMARK"u8) ? WatchFrameKind.Bookmark
        : reader.ValueTextEquals("ERROR"u8) ? WatchFrameKind.Error
        : WatchFrameKind.Unknown;
}
