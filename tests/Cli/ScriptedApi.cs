using System.Collections.Concurrent;
using System.Net;
using System.Text;
using WebhookOperator.Cli;

namespace WebhookOperator.Tests.Cli;

/// <summary>A real HTTP server in the place of the operator's API; it answers every request alike and keeps it.</summary>
internal sealed class ScriptedApi : IAsyncDisposable
{
    private readonly ConcurrentQueue<ReceivedRequest> _requests = new();
    private Receiver _server = null!;

    public string Url => _server.Url.ToString();

    public IReadOnlyList<ReceivedRequest> Requests => [.. _requests];

    public static async Task<ScriptedApi> StartAsync(int status, string body)
    {
        var api = new ScriptedApi();
        api._server = await Receiver.StartAsync(IPAddress.Loopback, 0, request =>
        {
            api._requests.Enqueue(request);
            return new ReceiverAnswer(status, body);
        }, TestContext.Current.CancellationToken);
        return api;
    }

    public static string BodyOf(ReceivedRequest request) => Encoding.UTF8.GetString(request.Body);

    public ValueTask DisposeAsync() => _server.DisposeAsync();
}
