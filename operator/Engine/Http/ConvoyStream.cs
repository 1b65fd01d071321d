using System.Buffers;
using System.Net.Sockets;

namespace WebhookOperator.Engine.Http;

/// <summary>
/// A connection that takes what a <see cref="Convoy"/> writes, and sends it with what the others of the convoy write. A write
/// that is held has ended for its caller; if it then fails, the connection is shut down, and whoever reads from it learns that it has ended.
/// </summary>
internal sealed class ConvoyStream(Socket socket) : NetworkStream(socket, ownsSocket: true), IHeld
{
    /// <summary>A request of the usual size. More is not copied, but sent at once.</summary>
    private const int MostBytes = 16 * 1024;

    private readonly Lock _gate = new();
    private byte[]? _held;
    private int _length;

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (Convoy.UnderWay is { } convoy && buffer.Length <= MostBytes && TryHold(buffer.Span))
        {
            convoy.Hold(this);
            return default;
        }
        Release(); // What was written before goes first.
        return base.WriteAsync(buffer, cancellationToken);
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <summary>All writes that do not wait come here.</summary>
    public override void Write(byte[] buffer, int offset, int count)
    {
        Release();
        base.Write(buffer, offset, count);
    }

    public void Release()
    {
        if (Volatile.Read(ref _held) is null)
            return;
        // Under the lock, so that no later write comes before it; the socket keeps the order of what it is given.
        lock (_gate)
        {
            if (_held is not { } held)
                return;
            _ = SendAsync(held, _length);
            Volatile.Write(ref _held, null); // Not before it has begun: whoever sees that nothing is held goes on.
        }
    }

    private bool TryHold(ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            if (_held is not null)
                return false;
            _held = ArrayPool<byte>.Shared.Rent(bytes.Length);
            _length = bytes.Length;
            bytes.CopyTo(_held);
            return true;
        }
    }

    private async Task SendAsync(byte[] held, int length)
    {
        try
        {
            await base.WriteAsync(held.AsMemory(0, length), CancellationToken.None);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            ShutDown();
        }
        ArrayPool<byte>.Shared.Return(held);
    }

    private void ShutDown()
    {
        try
        {
            Socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has ended already.
        }
    }
}
