using System.Text;
using Prometheus;

namespace WebhookOperator.Telemetry;

/// <summary>What a scrape gets: the registry's text, with the samples of subscriptions where they belong.</summary>
internal static class Exposition
{
    private const string OpenMetrics = "application/openmetrics-text";

    /// <summary>For <c>GET /metrics</c>.</summary>
    public static async Task AnswerAsync(HttpContext context, Instruments instruments)
    {
        var format = context.Request.Headers.Accept.ToString().Contains(OpenMetrics, StringComparison.OrdinalIgnoreCase)
            ? ExpositionFormat.OpenMetricsText
            : ExpositionFormat.PrometheusText;
        context.Response.ContentType = format == ExpositionFormat.OpenMetricsText
            ? $"{OpenMetrics}; version=1.0.0; charset=utf-8"
            : "text/plain; version=0.0.4; charset=utf-8";
        await WriteAsync(instruments, context.Response.Body, format, context.RequestAborted);
    }

    public static async Task WriteAsync(Instruments instruments, Stream stream, ExpositionFormat format, CancellationToken cancellation)
    {
        await using var joined = new JoiningStream(stream, (name, token) => instruments.Subscriptions.WriteAsync(name, stream, format, token));
        await instruments.Registry.CollectAndExportAsTextAsync(joined, format, cancellation);
    }

    /// <summary>Passes text on and calls back after each TYPE line, so that samples can be written there.</summary>
    private sealed class JoiningStream(Stream inner, Func<string, CancellationToken, Task> typed) : Stream
    {
        /// <summary>The line that has not come to its end yet.</summary>
        private readonly List<byte> _line = [];

        private static ReadOnlySpan<byte> Type => "# TYPE "u8;

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var start = 0;
            for (var next = 0; next < buffer.Length;)
            {
                var end = buffer.Span[next..].IndexOf((byte)'\n');
                if (end < 0)
                {
                    _line.AddRange(buffer.Span[next..]);
                    break;
                }
                _line.AddRange(buffer.Span.Slice(next, end));
                next += end + 1;
                if (TypedName() is { } name)
                {
                    await inner.WriteAsync(buffer[start..next], cancellationToken);
                    start = next;
                    await typed(name, cancellationToken);
                }
                _line.Clear();
            }
            await inner.WriteAsync(buffer[start..], cancellationToken);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

        /// <summary>Nothing is kept back, and the registry writes asynchronously.</summary>
        public override void Flush() { }

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();

        private string? TypedName()
        {
            var line = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_line);
            if (!line.StartsWith(Type))
                return null;
            line = line[Type.Length..];
            var end = line.IndexOf((byte)' ');
            return end < 0 ? null : Encoding.UTF8.GetString(line[..end]);
        }
    }
}
