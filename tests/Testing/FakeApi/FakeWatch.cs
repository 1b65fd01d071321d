using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace WebhookOperator.Tests.Testing.FakeApi;

/// <summary>One watch that is connected to a <see cref="FakeApiServer"/>, and the faults that it can have. Thread-safe.</summary>
internal sealed class FakeWatch(HttpContext context, FakeRequest request, FakeApiStore store, TimeSpan bookmarkInterval)
{
    private readonly FakeSelector _selector = FakeSelector.Of(request.Query);
    private readonly TaskCompletionSource _failing = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile Fault _fault;

    private enum Fault
    {
        None,
        End,
        Cut,
        CutMidFrame,
        Silent,
        Error,
    }

    public FakeRequest Request => request;

    /// <summary>Ends as after its timeout: in order.</summary>
    public void End() => Fail(Fault.End);

    /// <summary>Breaks the connection.</summary>
    public void Cut() => Fail(Fault.Cut);

    /// <summary>Breaks the connection in the middle of the next frame.</summary>
    public void CutMidFrame() => _fault = Fault.CutMidFrame;

    /// <summary>Sends nothing any more and does not end: what a dead peer behind a load balancer looks like.</summary>
    public void FallSilent() => Fail(Fault.Silent);

    /// <summary>Sends an ERROR frame with 410.</summary>
    public void SendGone() => Fail(Fault.Error);

    public static FakeStatusException Gone(long from) => new(410, "Expired", $"too old resource version: {from}");

    public async Task RunAsync(long from)
    {
        context.Response.ContentType = "application/json";
        await context.Response.StartAsync(context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
        var bookmarks = request.Query["allowWatchBookmarks"] == "true";
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        ended.CancelAfter(TimeSpan.FromSeconds(int.Parse(request.Query["timeoutSeconds"].ToString(), CultureInfo.InvariantCulture)));
        while (!ended.IsCancellationRequested)
        {
            if (store.Since(from) is not { } news || _fault == Fault.Error)
            {
                await SendAsync("ERROR", FakeApiServer.Status(Gone(from)));
                return;
            }
            foreach (var change in news.Changes)
            {
                if (await FailAsync())
                    return;
                if (Frame(change) is var (type, item))
                    await SendAsync(type, item);
                from = change.Version;
            }
            if (await FailAsync())
                return;
            var quiet = Task.Delay(bookmarkInterval, TimeProvider.System, ended.Token);
            if (await Task.WhenAny(news.More, _failing.Task, quiet) == quiet && quiet.IsCompletedSuccessfully && bookmarks)
                await SendAsync("BOOKMARK", new JsonObject { ["metadata"] = new JsonObject { ["resourceVersion"] = from.ToString(CultureInfo.InvariantCulture) } });
        }
    }

    private (string Type, JsonObject Item)? Frame(FakeChange change)
    {
        if (change.Collection != request.Collection || (request.Namespace.Length > 0 && request.Namespace != change.Namespace))
            return null;
        var (before, after) = (_selector.Matches(change.Before), _selector.Matches(change.After));
        return after ? (before ? "MODIFIED" : "ADDED", change.After!)
            : before ? ("DELETED", WithVersion(change.After ?? change.Before!, change.Version))
            : null;
    }

    /// <summary>Acts on a fault that has been asked for.</summary>
    /// <returns>Whether the watch is over.</returns>
    private async Task<bool> FailAsync()
    {
        switch (_fault)
        {
            case Fault.Cut:
                context.Abort();
                return true;
            case Fault.End:
                return true;
            case Fault.Silent:
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
                return true;
            default:
                return false;
        }
    }

    private async Task SendAsync(string type, JsonObject item)
    {
        var frame = Encoding.UTF8.GetBytes(new JsonObject { ["type"] = type, ["object"] = item.DeepClone() }.ToJsonString() + "\n");
        var cut = _fault == Fault.CutMidFrame;
        await context.Response.Body.WriteAsync(cut ? frame.AsMemory(0, frame.Length / 2) : frame, context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
        if (cut)
            _fault = Fault.Cut;
    }

    private void Fail(Fault fault)
    {
        _fault = fault;
        _failing.TrySetResult();
    }

    private static JsonObject WithVersion(JsonObject item, long version)
    {
        var copy = (JsonObject)item.DeepClone();
        copy["metadata"]!["resourceVersion"] = version.ToString(CultureInfo.InvariantCulture);
        return copy;
    }
}
