using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using WebhookOperator.Bench.Publishing;
using WebhookOperator.Engine.Http;

namespace WebhookOperator.Bench.Receiving;

/// <summary>
/// The receiver: Kestrel with nothing on top. Prints its address, and ends when its standard input does, so
/// that it can't outlive the process that started it.
/// </summary>
internal sealed class ReceiverProgram
{
    public const string Verb = "receiver";
    public const string HookPath = "/hook";

    /// <summary>Answers like <see cref="HookPath"/>, but nothing is recorded.</summary>
    public const string AsidePath = "/aside";

    /// <summary>Never answers.</summary>
    public const string HangPath = "/hang";
    public const string ResetPath = "/control/reset";
    public const string ProgressPath = "/control/progress";
    public const string LatenciesPath = "/control/latencies";

    /// <summary>Of so many signatures one is verified; that each request has one is always seen to.</summary>
    private const int VerifyOneOf = 64;

    private readonly SignatureVerifier _verifier;
    private Arrivals _arrivals = new();
    private long _signed;

    private ReceiverProgram(SignatureVerifier verifier) => _verifier = verifier;

    public static async Task<int> RunAsync(string signingKey)
    {
        if (!SignatureVerifier.TryCreate([signingKey], out var verifier, out var error))
            throw new InvalidOperationException($"The signing key {error}.");
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MinRequestBodyDataRate = null;
        });
        await using var app = builder.Build();
        app.Urls.Add("http://127.0.0.1:0");
        var receiver = new ReceiverProgram(verifier);
        app.Run(receiver.HandleAsync);
        await app.StartAsync();
        await Console.Out.WriteLineAsync(
            app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        await Console.In.ReadToEndAsync();
        return ExitCodes.Ok;
    }

    private async Task HandleAsync(HttpContext context)
    {
        var path = context.Request.Path;
        if (path.StartsWithSegments(HookPath))
            await ReceiveAsync(context, record: true);
        else if (path.StartsWithSegments(AsidePath))
            await ReceiveAsync(context, record: false);
        else if (path.StartsWithSegments(HangPath))
            await HangAsync(context.RequestAborted);
        else if (path == ResetPath)
            Volatile.Write(ref _arrivals, new Arrivals());
        else if (path == ProgressPath)
            await context.Response.WriteAsJsonAsync(_arrivals.Progress);
        else if (path == LatenciesPath)
            await context.Response.WriteAsJsonAsync(_arrivals.Summarize());
        else
            context.Response.StatusCode = StatusCodes.Status404NotFound;
    }

    private async Task ReceiveAsync(HttpContext context, bool record)
    {
        var reader = context.Request.BodyReader;
        ReadResult body;
        while (!(body = await reader.ReadAsync()).IsCompleted)
            reader.AdvanceTo(body.Buffer.Start, body.Buffer.End);
        if (record)
            Record(context.Request.Headers, body.Buffer);
        reader.AdvanceTo(body.Buffer.End);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private void Record(IHeaderDictionary headers, in ReadOnlySequence<byte> body)
    {
        var arrivals = Volatile.Read(ref _arrivals);
        var stamp = EventBody.ReadStamp(body.IsSingleSegment ? body.FirstSpan : body.ToArray());
        string? name = headers["webhook-id"];
        if (name is null)
        {
            arrivals.Add(null, stamp);
            return;
        }
        string? signature = headers["webhook-signature"];
        if (!EventId.TryParse(name, out var id)
            || string.IsNullOrEmpty(signature)
            || (Interlocked.Increment(ref _signed) % VerifyOneOf == 0 && !IsSigned(headers, body)))
            arrivals.AddBadSignature();
        arrivals.Add(id, stamp);
    }

    private bool IsSigned(IHeaderDictionary headers, in ReadOnlySequence<byte> body) =>
        _verifier.Verify(
            headers["webhook-id"], headers["webhook-timestamp"], headers["webhook-signature"], body.ToArray(),
            TimeProvider.System.GetUtcNow()) == SignatureVerdict.Valid;

    private static async Task HangAsync(CancellationToken aborted)
    {
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, aborted);
        }
        catch (OperationCanceledException)
        {
            // The sender gave up, which is all that this path is for.
        }
    }
}
