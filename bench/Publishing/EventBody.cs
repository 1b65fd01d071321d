using System.Buffers.Text;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace WebhookOperator.Bench.Publishing;

/// <summary>
/// Bodies of events, 1 KiB each, that carry the time at which they were published: a reading of the monotonic
/// clock, which on Linux is the same for all processes.
/// </summary>
internal static class EventBody
{
    public const int Bytes = 1024;
    public const string Source = "/bench";
    public const string Type = "bench.event";

    private const int StampDigits = 19;
    private const int IdDigits = 19;

    private static readonly byte[] BinaryTemplate = Pad("{\"sent\":\"", "\",\"pad\":\"", "\"}");
    private static readonly byte[] StructuredTemplate = Pad(
        $$"""{"specversion":"1.0","id":"{{Zeros(IdDigits)}}","source":"{{Source}}","type":"{{Type}}","datacontenttype":"application/json","data":{"sent":" """.TrimEnd(),
        "\",\"pad\":\"", "\"}}");

    private static ReadOnlySpan<byte> StampMark => "\"sent\":\""u8;

    private static ReadOnlySpan<byte> IdMark => "\"id\":\""u8;

    /// <summary>The data alone, not stamped.</summary>
    public static byte[] Unstamped() => [.. BinaryTemplate];

    /// <summary>The data alone, stamped now.</summary>
    public static byte[] Data()
    {
        var body = Unstamped();
        Stamp(body);
        return body;
    }

    /// <summary>A CloudEvent as one JSON object, stamped now.</summary>
    /// <param name="id">Its id; unique within a run.</param>
    public static byte[] Structured(long id)
    {
        var body = new byte[Bytes];
        WriteStructured(body, id);
        return body;
    }

    /// <summary>A JSON array of CloudEvents, stamped now.</summary>
    /// <param name="firstId">The following have the numbers after it.</param>
    /// <param name="count">How many.</param>
    public static byte[] Batch(long firstId, int count)
    {
        var body = new byte[count * (Bytes + 1) + 1];
        for (var i = 0; i < count; i++)
        {
            body[i * (Bytes + 1)] = (byte)(i == 0 ? '[' : ',');
            WriteStructured(body.AsSpan(i * (Bytes + 1) + 1, Bytes), firstId + i);
        }
        body[^1] = (byte)']';
        return body;
    }

    /// <summary>0 if there is no stamp, or none was set.</summary>
    public static long ReadStamp(ReadOnlySpan<byte> body)
    {
        var mark = body.IndexOf(StampMark);
        return mark >= 0 && Utf8Parser.TryParse(body[(mark + StampMark.Length)..], out long stamp, out _) ? stamp : 0;
    }

    private static void WriteStructured(Span<byte> body, long id)
    {
        StructuredTemplate.CopyTo(body);
        WriteNumber(body[(body.IndexOf(IdMark) + IdMark.Length)..], id, IdDigits);
        Stamp(body);
    }

    private static void Stamp(Span<byte> body) =>
        WriteNumber(body[(body.IndexOf(StampMark) + StampMark.Length)..], Stopwatch.GetTimestamp(), StampDigits);

    private static void WriteNumber(Span<byte> target, long number, int digits) =>
        number.TryFormat(target, out _, "D" + digits, CultureInfo.InvariantCulture);

    private static byte[] Pad(string beforeStamp, string beforePad, string end)
    {
        var start = beforeStamp + Zeros(StampDigits) + beforePad;
        return Encoding.ASCII.GetBytes(start + new string('x', Bytes - start.Length - end.Length) + end);
    }

    private static string Zeros(int digits) => new('0', digits);
}
