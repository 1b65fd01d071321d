using System.Collections.Concurrent;
using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// A few sessions of the store's own. Npgsql's pool would reset each on its return, and with it the settings that the
/// store's statements rely on.
/// </summary>
internal sealed class SessionPool(ServerAddress server, int size) : IAsyncDisposable
{
    /// <summary>Sessions of one replica: 4 that commit, 4 that read, and those of shards and hints.</summary>
    public const int Budget = 12;

    private readonly SemaphoreSlim _free = new(size, size);
    private readonly ConcurrentStack<NpgsqlConnection> _idle = new();
    private volatile bool _closed;

    /// <summary>
    /// Runs work on a session, and once more on a new one if the session turns out to have died while it was idle; so the
    /// work must be one that may run twice. A server that hangs is not asked twice: whoever waits has waited long enough.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The server can't be reached, or answered with a fault of its own.</exception>
    public async Task<T> RunAsync<T>(Func<NpgsqlConnection, CancellationToken, Task<T>> work, CancellationToken cancellation)
    {
        await _free.WaitAsync(cancellation);
        try
        {
            for (var again = true; ; again = false)
            {
                var session = await TakeAsync(cancellation);
                try
                {
                    var result = await work(session, cancellation);
                    _idle.Push(session);
                    return result;
                }
                catch (NpgsqlException e) when (again && !ServerFault.IsTimeout(e) && (ServerFault.IsBroken(session) || ServerFault.IsRace(e)))
                {
                    var broken = ServerFault.IsBroken(session);
                    await session.DisposeAsync();
                    if (broken)
                        await DropIdleAsync();
                }
                catch
                {
                    // In whatever state it is. After an error among statements that it was about to prepare, the driver may also
                    // take one for prepared that is not, and then lose its place in what the server answers.
                    await session.DisposeAsync();
                    throw;
                }
            }
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException && !ServerFault.IsOwn(e))
        {
            throw ServerFault.Unavailable(server, e);
        }
        finally
        {
            _free.Release();
        }
    }

    /// <summary>Ends sessions that wait here: the server that they were opened on has gone.</summary>
    public async Task DropIdleAsync()
    {
        while (_idle.TryPop(out var session))
            await session.DisposeAsync();
    }

    /// <summary>Waits for work under way.</summary>
    public async ValueTask DisposeAsync()
    {
        _closed = true;
        for (var i = 0; i < size; i++)
            await _free.WaitAsync();
        await DropIdleAsync();
        _free.Release(size);
    }

    private async Task<NpgsqlConnection> TakeAsync(CancellationToken cancellation)
    {
        if (_closed)
            throw new StoreUnavailableException($"The store {server.Name} is closed.");
        return _idle.TryPop(out var session) ? session : await server.OpenAsync(cancellation);
    }
}
