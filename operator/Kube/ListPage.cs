using System.Buffers;
using System.Text.Json;

namespace WebhookOperator.Kube;

/// <summary>Receives the JSON of one object; the bytes are gone when it returns.</summary>
internal delegate void JsonObjectReader(ReadOnlySpan<byte> utf8);

/// <param name="Continue">Names the next page; null on the last.</param>
/// <param name="ResourceVersion">The state that the whole list shows, all pages of it.</param>
internal readonly record struct ListMetadata(string? Continue, string? ResourceVersion);

/// <summary>
/// Reads one page of a list as it arrives, object by object: no more of it is in memory than the object that is
/// just arriving.
/// </summary>
internal sealed class ListPage : IDisposable
{
    private const int FirstBuffer = 64 * 1024;

    private readonly JsonObjectReader _onItem;
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(FirstBuffer);
    private int _length;
    private JsonReaderState _state;
    private bool _inItems;
    private bool _ended;
    private ListMetadata _metadata;

    private ListPage(JsonObjectReader onItem) => _onItem = onItem;

    /// <param name="onProgress">Called whenever bytes have arrived.</param>
    /// <exception cref="JsonException">No list of Kubernetes.</exception>
    public static async Task<ListMetadata> ReadAsync(
        Stream stream, JsonObjectReader onItem, Action onProgress, CancellationToken cancellation)
    {
        using var page = new ListPage(onItem);
        while (true)
        {
            var read = await stream.ReadAsync(page._buffer.AsMemory(page._length), cancellation);
            onProgress();
            page._length += read;
            page.Parse(final: read == 0);
            if (read == 0)
                return page._ended ? page._metadata : throw new JsonException("The list ends before its end.");
        }
    }

    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);

    /// <summary>Takes what is complete, keeps the rest for when more has arrived.</summary>
    private void Parse(bool final)
    {
        var reader = new Utf8JsonReader(_buffer.AsSpan(0, _length), final, _state);
        var taken = 0;
        // Each step is whole or did not happen.
        while (!_ended && Step(ref reader))
        {
            taken = (int)reader.BytesConsumed;
            _state = reader.CurrentState;
        }
        _buffer.AsSpan(taken, _length - taken).CopyTo(_buffer);
        _length = _ended ? 0 : _length - taken;
        if (_length == _buffer.Length)
        {
            var larger = ArrayPool<byte>.Shared.Rent(2 * _buffer.Length);
            _buffer.CopyTo(larger, 0);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }
    }

    private bool Step(ref Utf8JsonReader reader)
    {
        if (!reader.Read())
            return false;
        if (_inItems)
        {
            if (reader.TokenType == JsonTokenType.EndArray)
            {
                _inItems = false;
                return true;
            }
            if (!TryTake(ref reader, out var item))
                return false;
            _onItem(item);
            return true;
        }
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                return true;
            case JsonTokenType.EndObject:
                return _ended = true;
            case JsonTokenType.PropertyName:
                break;
            default:
                throw new JsonException("The answer is no list.");
        }
        if (reader.ValueTextEquals("items"u8))
        {
            if (!reader.Read())
                return false;
            _inItems = reader.TokenType == JsonTokenType.StartArray;
            return true;
        }
        var isMetadata = reader.ValueTextEquals("metadata"u8);
        if (!reader.Read() || !TryTake(ref reader, out var value))
            return false;
        if (isMetadata)
            _metadata = KubeJson.Read<ListMetadata>(value);
        return true;
    }

    /// <summary>The value that starts here, if all of it has arrived.</summary>
    private bool TryTake(ref Utf8JsonReader reader, out ReadOnlySpan<byte> value)
    {
        var start = (int)reader.TokenStartIndex;
        var whole = reader.TrySkip();
        value = whole ? _buffer.AsSpan(start, (int)reader.BytesConsumed - start) : default;
        return whole;
    }
}
