using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace WebhookOperator.Tests.Testing;

/// <summary>A request as the Node receiver saw it.</summary>
/// <param name="WebhookId">Null if the header was absent.</param>
/// <param name="Sha256">Of the body, in lower-case hex.</param>
/// <param name="VerifiedBy">The names of the keys that verify the signature; none if it is bad.</param>
internal sealed record NodeReceived(string Path, string? WebhookId, string Sha256, string[] VerifiedBy);

/// <summary>
/// A receiver on Node.js that verifies with the official <c>standardwebhooks</c> library (HMAC) and Node's own
/// crypto (Ed25519). It answers 200 if any of its keys verifies, else 401, with a <see cref="NodeReceived"/> as JSON.
/// </summary>
internal sealed class NodeReceiver : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly Process _node;
    private readonly Arrivals<NodeReceived> _arrivals = new();

    private Task _reading = Task.CompletedTask;

    private NodeReceiver(Process node) => _node = node;

    /// <summary>With the address 127.0.0.1 and the path <c>/hooks</c>.</summary>
    public Uri Url { get; private set; } = null!;

    public IReadOnlyList<NodeReceived> Requests => _arrivals.All;

    /// <param name="keys">By a name of the test's choice: <c>whsec_…</c> or <c>whpk_…</c>.</param>
    public static async Task<NodeReceiver> StartAsync(params (string Name, string Key)[] keys)
    {
        var node = await NodePackages.StartAsync(
            "receiver.mjs", JsonSerializer.Serialize(keys.ToDictionary(k => k.Name, k => k.Key)));
        if (await node.StandardOutput.ReadLineAsync() is not { } port)
            throw new InvalidOperationException($"The Node receiver did not start:\n{await node.StandardError.ReadToEndAsync()}");
        var receiver = new NodeReceiver(node)
        {
            Url = new Uri($"http://127.0.0.1:{int.Parse(port, CultureInfo.InvariantCulture)}/hooks"),
        };
        receiver._reading = receiver.ReadAsync();
        return receiver;
    }

    /// <summary>Reads the body of an answer.</summary>
    public static NodeReceived Read(ReadOnlySpan<byte> answer) =>
        JsonSerializer.Deserialize<NodeReceived>(answer, JsonSerializerOptions.Web)!;

    /// <summary>All requests, once there are at least so many; fails after a deadline of 60 s.</summary>
    public Task<IReadOnlyList<NodeReceived>> WaitForAsync(int count) => _arrivals.WaitForAsync(count, Deadline);

    public async ValueTask DisposeAsync()
    {
        _node.Kill();
        await _reading;
        await _node.WaitForExitAsync();
        _node.Dispose();
    }

    private async Task ReadAsync()
    {
        while (await _node.StandardOutput.ReadLineAsync() is { } line)
            _arrivals.Add(JsonSerializer.Deserialize<NodeReceived>(line, JsonSerializerOptions.Web)!);
    }
}
