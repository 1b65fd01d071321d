using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace WebhookOperator.Tests.Testing;

/// <summary>
/// A real HTTP server on a free loopback port. It records each request before it answers, and answers as the test
/// says: <c>await using var receiver = await Receiver.StartAsync(Answers.Status(503));</c>
/// </summary>
internal sealed class Receiver : IAsyncDisposable
{
    private const string ServerNameItem = "server-name";
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    private readonly WebApplication _app;
    private readonly Arrivals<Received> _arrivals = new();
    private readonly CancellationTokenSource _stopping = new();

    private Receiver(WebApplication app, Answer answer)
    {
        _app = app;
        Answer = answer;
    }

    /// <summary>How requests are answered from now on.</summary>
    public Answer Answer { get; set; }

    /// <summary>With the address 127.0.0.1 and the path <c>/hooks</c>.</summary>
    public Uri Url { get; private set; } = null!;

    /// <summary>All requests so far, in the order in which their bodies were complete.</summary>
    public IReadOnlyList<Received> Requests => _arrivals.All;

    /// <param name="answer">200 to everything if left out.</param>
    /// <param name="certificate">Makes it speak https, with HTTP/2 for who asks.</param>
    /// <param name="tls">More about https, such as whether clients must show a certificate.</param>
    /// <param name="protocols">HTTP/2 is spoken by https alone.</param>
    public static async Task<Receiver> StartAsync(
        Answer? answer = null, X509Certificate2? certificate = null, Action<HttpsConnectionAdapterOptions>? tls = null,
        HttpProtocols protocols = HttpProtocols.Http1AndHttp2)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        if (certificate is not null)
            builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.RequestHeaderEncodingSelector = _ => Encoding.Latin1;
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, 0, listen =>
            {
                listen.Protocols = protocols;
                if (certificate is not null)
                {
                    listen.UseHttps(https =>
                    {
                        https.ServerCertificateSelector = (connection, name) =>
                        {
                            connection!.Items[ServerNameItem] = name;
                            return certificate;
                        };
                        tls?.Invoke(https);
                    });
                }
            });
        });
        var app = builder.Build();
        var receiver = new Receiver(app, answer ?? Answers.Status(200));
        app.Run(receiver.HandleAsync);
        await app.StartAsync();
        receiver.Url = new Uri(new Uri(app.Urls.Single()), "/hooks");
        return receiver;
    }

    /// <summary>The first requests, once there are so many; fails after a deadline of 30 s.</summary>
    public Task<IReadOnlyList<Received>> WaitForAsync(int count) => _arrivals.WaitForAsync(count, Deadline);

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        // A token that is cancelled already: connections are not waited for.
        await _app.StopAsync(_stopping.Token);
        await _app.DisposeAsync();
        _stopping.Dispose();
    }

    private async Task HandleAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var received = new Received(
            context.Request.Method, context.Features.Get<IHttpRequestFeature>()!.RawTarget, context.Request.Protocol, context.Connection.Id,
            [.. context.Request.Headers.SelectMany(h => h.Value.Select(v => KeyValuePair.Create(h.Key, v!)))],
            body.ToArray())
        {
            ServerName = context.Features.Get<IConnectionItemsFeature>()?.Items.TryGetValue(ServerNameItem, out var name) == true ? (string?)name : null,
            Client = context.Connection.ClientCertificate?.Subject,
        };
        // Before anybody hears of the request, and changes the answer for the next.
        var answer = Answer;
        _arrivals.Add(received);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, _stopping.Token);
        try
        {
            await answer(context, received, ended.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // The client went away, or the test is over.
            context.Abort();
        }
    }
}
