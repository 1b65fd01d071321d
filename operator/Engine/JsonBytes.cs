using System.Buffers;
using System.Text.Json;

namespace WebhookOperator.Engine;

/// <summary>Writes JSON as bytes, where that is done for every event: what it takes is kept for the next. From any thread.</summary>
/// <param name="options">Of the writer.</param>
internal sealed class JsonBytes(JsonWriterOptions options)
{
    private const int LargestKept = 64 * 1024;

    /// <summary>Null while it is in use.</summary>
    private Kept? _kept;

    /// <param name="state">For <paramref name="write"/>, which then need not capture anything.</param>
    /// <param name="write">Writes one value.</param>
    public byte[] Write<TState>(TState state, Action<Utf8JsonWriter, TState> write)
    {
        var kept = Interlocked.Exchange(ref _kept, null) ?? New();
        var (buffer, writer) = kept;
        write(writer, state);
        writer.Flush();
        var bytes = buffer.WrittenSpan.ToArray();
        if (buffer.Capacity <= LargestKept)
        {
            buffer.ResetWrittenCount();
            writer.Reset();
            Volatile.Write(ref _kept, kept);
        }
        return bytes;
    }

    private Kept New()
    {
        var buffer = new ArrayBufferWriter<byte>();
        return new Kept(buffer, new Utf8JsonWriter(buffer, options));
    }

    private sealed record Kept(ArrayBufferWriter<byte> Buffer, Utf8JsonWriter Writer);
}
