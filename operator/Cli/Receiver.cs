using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace WebhookOperator.Cli;

/// <summary>A request as a receiver of webhooks sees it. The query comes with its question mark, or is empty.</summary>
internal sealed record ReceivedRequest(string Method, string Path, string Query, IHeaderDictionary Headers, byte[] Body)
{
    /// <summary>The <c>webhook-id</c>; empty if there is none.</summary>
    public string WebhookId => Headers["webhook-id"].ToString();
}

/// <summary>How a receiver answers: a status code, and a line of text for whoever reads the delivery log.</summary>
internal readonly record struct ReceiverAnswer(int StatusCode, string Text = "");

/// <summary>A small HTTP server that takes any request, one handler for all.</summary>
internal sealed class Receiver : IAsyncDisposable
{
    private const long MostBytes = 64 * 1024 * 1024;

    private readonly WebApplication _app;

    private Receiver(WebApplication app, Uri url)
    {
        _app = app;
        Url = url;
    }

    /// <summary>With the port really taken.</summary>
    public Uri Url { get; }

    /// <param name="address">Where to listen.</param>
    /// <param name="port">0 takes a free one.</param>
    /// <param name="answer">Called for each request, any number at once.</param>
    /// <param name="cancellation">Ends the start.</param>
    /// <exception cref="VerbFailedException">The port is taken, or the address is not this machine's.</exception>
    public static async Task<Receiver> StartAsync(
        IPAddress address, int port, Func<ReceivedRequest, ReceiverAnswer> answer, CancellationToken cancellation)
    {
        // Empty: the environment's ASPNETCORE_ variables are meant for others.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(address, port);
            kestrel.Limits.MaxRequestBodySize = MostBytes;
            kestrel.AddServerHeader = false;
        });
        var app = builder.Build();
        app.Run(context => HandleAsync(context, answer));
        try
        {
            await app.StartAsync(cancellation);
        }
        catch (IOException e) when (e.InnerException is AddressInUseException)
        {
            await app.DisposeAsync();
            throw new VerbFailedException($"Port {port} is taken by another program; stop that one first.");
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressNotAvailable)
        {
            await app.DisposeAsync();
            throw new VerbFailedException($"This machine does not have the address {address}; 0.0.0.0 means all that it has.");
        }
        return new Receiver(app, new Uri(app.Urls.First()));
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private static async Task HandleAsync(HttpContext context, Func<ReceivedRequest, ReceiverAnswer> answer)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        // Copied, since Kestrel takes its own back once the request has ended.
        var headers = new HeaderDictionary(context.Request.Headers.ToDictionary(StringComparer.OrdinalIgnoreCase));
        var reply = answer(new ReceivedRequest(
            context.Request.Method, context.Request.Path, context.Request.QueryString.ToString(), headers, body.ToArray()));
        context.Response.StatusCode = reply.StatusCode;
        if (reply.Text.Length > 0)
            await context.Response.WriteAsync(reply.Text + "\n", context.RequestAborted);
    }
}
