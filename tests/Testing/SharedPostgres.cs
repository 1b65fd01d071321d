using WebhookOperator.Tests.Testing;

[assembly: AssemblyFixture(typeof(SharedPostgres))]

namespace WebhookOperator.Tests.Testing;

/// <summary>One server for all tests that need no more than a database of their own; started with the first of them.</summary>
public sealed class SharedPostgres : IAsyncDisposable
{
    private static readonly SemaphoreSlim Gate = new(1, 1);
    private static PostgresServer? _server;

    internal static async Task<PostgresServer> GetAsync()
    {
        await Gate.WaitAsync();
        try
        {
            return _server ??= await PostgresServer.StartAsync("max_connections=300");
        }
        finally
        {
            Gate.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync();
    }
}
