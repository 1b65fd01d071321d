[assembly: AssemblyFixture(typeof(WebhookOperator.Tests.Testing.ControlPlanes))]

namespace WebhookOperator.Tests.Testing;

/// <summary>Which API server of those that there are; the same one twice where there is only one.</summary>
public enum ApiServer { Newest, Oldest }

/// <summary>One running API server of each version for all tests, with the CRDs in it; each test takes namespaces of its own.</summary>
public sealed class ControlPlanes : IAsyncLifetime
{
    private readonly SemaphoreSlim _starting = new(1);
    private readonly Dictionary<Version, ControlPlane> _running = [];

    public static TheoryData<ApiServer> Both => [ApiServer.Newest, ApiServer.Oldest];

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    /// <summary>Skips the test, with the reason, where no API server can be had.</summary>
    internal async Task<ControlPlane> GetAsync(ApiServer which)
    {
        var program = await ProgramAsync(which);
        await _starting.WaitAsync();
        try
        {
            if (!_running.TryGetValue(program.Version, out var plane))
            {
                plane = _running[program.Version] = await ControlPlane.StartAsync(program);
                await plane.InstallCrdsAsync();
            }
            return plane;
        }
        finally
        {
            _starting.Release();
        }
    }

    /// <summary>A server for one test alone, with nothing in it, for what would disturb others.</summary>
    internal static async Task<ControlPlane> StartOwnAsync(ApiServer which) => await ControlPlane.StartAsync(await ProgramAsync(which));

    public async ValueTask DisposeAsync()
    {
        foreach (var plane in _running.Values)
            await plane.DisposeAsync();
        _starting.Dispose();
    }

    private static async Task<VersionedProgram> ProgramAsync(ApiServer which)
    {
        var programs = await ControlPlanePrograms.FindAsync();
        return which == ApiServer.Newest ? programs.NewestApiServer : programs.OldestApiServer;
    }
}
