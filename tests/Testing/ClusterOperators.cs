[assembly: AssemblyFixture(typeof(WebhookOperator.Tests.Testing.ClusterOperators))]

namespace WebhookOperator.Tests.Testing;

/// <summary>
/// One operator for every namespace at an API server of each version, for all tests that need no operator or server of
/// their own; each test takes namespaces of its own.
/// </summary>
public sealed class ClusterOperators : IAsyncLifetime
{
    private readonly SemaphoreSlim _starting = new(1);
    private readonly Dictionary<ApiServer, ClusterOperator> _running = [];

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    /// <summary>Skips the test, with the reason, where no API server can be had.</summary>
    internal async Task<ClusterOperator> GetAsync(ApiServer which)
    {
        await _starting.WaitAsync();
        try
        {
            if (!_running.TryGetValue(which, out var running))
            {
                running = _running[which] = await StartAsync(await ControlPlanes.StartOwnAsync(which));
            }
            return running;
        }
        finally
        {
            _starting.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var running in _running.Values)
        {
            await running.DisposeAsync();
            await running.Plane.DisposeAsync();
        }
        _starting.Dispose();
    }

    private static async Task<ClusterOperator> StartAsync(ControlPlane plane)
    {
        try
        {
            await plane.InstallCrdsAsync();
            return await ClusterOperator.StartAsync(plane);
        }
        catch
        {
            await plane.DisposeAsync();
            throw;
        }
    }
}
