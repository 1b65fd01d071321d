using System.Text;
using System.Text.Json.Nodes;
using k8s.Models;
using Microsoft.Extensions.Time.Testing;
using WebhookOperator.Kube;
using WebhookOperator.Tests.Testing;
using WebhookOperator.Tests.Testing.FakeApi;

namespace WebhookOperator.Tests.Kube;

public sealed class EventRecorderTests : IAsyncLifetime
{
    private const string Events = "events.k8s.io/v1/events";

    private readonly FakeTimeProvider _time = new();
    private readonly CapturedLog _log = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _stopServer = new();
    private FakeApiServer _server = null!;
    private EventRecorder _recorder = null!;
    private Task _run = Task.CompletedTask;

    public async ValueTask InitializeAsync()
    {
        _server = await FakeApiServer.StartAsync();
        _recorder = new EventRecorder(_server.Client(), "example.test/controller", "pod-1", _time, _log.Logger<EventRecorder>());
        _run = Task.Run(() => _recorder.RunAsync(_stop.Token));
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await _stopServer.CancelAsync();
        await _server.DisposeAsync();
        _stop.Dispose();
        _stopServer.Dispose();
    }

    [Fact]
    public async Task An_event_says_what_happened_to_what()
    {
        _recorder.Record(Widget("w"), "Warning", "Broken", "Deliver", "It broke.");
        var written = (await WaitForAsync(1))[0];
        Assert.Equal("acme", (string?)written["metadata"]!["namespace"]);
        Assert.StartsWith("w.", (string?)written["metadata"]!["name"], StringComparison.Ordinal);
        Assert.Equal("Warning Broken Deliver It broke.", $"{written["type"]} {written["reason"]} {written["action"]} {written["note"]}");
        Assert.Equal("example.test/controller pod-1", $"{written["reportingController"]} {written["reportingInstance"]}");
        Assert.Equal("Widget example.test/v1 acme/w uid-w",
            $"{written["regarding"]!["kind"]} {written["regarding"]!["apiVersion"]} {written["regarding"]!["namespace"]}/{written["regarding"]!["name"]} {written["regarding"]!["uid"]}");
        // A MicroTime has exactly six decimals, or the API server refuses it.
        Assert.Matches(@"T\d\d:\d\d:\d\d\.\d{6}Z$", (string?)written["eventTime"]);
        Assert.Null(written["series"]);
    }

    [Fact]
    public async Task What_repeats_is_one_event_with_a_count()
    {
        for (var i = 0; i < 50; i++)
            _recorder.Record(Widget("w"), "Normal", "Opened", "Deliver", "The circuit is open.");
        _recorder.Record(Widget("other"), "Normal", "Opened", "Deliver", "The circuit is open.");
        await WaitForAsync(2);
        _time.Advance(TimeSpan.FromMinutes(1));
        await Wait.UntilAsync(() => All().Any(e => (int?)e["series"]?["count"] == 50), "the repeats are counted");
        _recorder.Record(Widget("w"), "Normal", "Opened", "Deliver", "The circuit is open.");
        await StopAsync();
        Assert.Equal(51, (int?)All().Single(e => (string?)e["regarding"]!["name"] == "w")["series"]!["count"]);
        Assert.Equal(2, All().Count);
    }

    [Fact]
    public async Task An_object_that_has_too_much_to_tell_tells_a_part_and_the_log_tells_how_much_is_missing()
    {
        for (var i = 0; i < 40; i++)
            _recorder.Record(Widget("w"), "Normal", "Opened", "Deliver", $"Attempt {i}.");
        _recorder.Record(Widget("other"), "Normal", "Opened", "Deliver", "Once.");
        await WaitForAsync(26);
        _time.Advance(TimeSpan.FromMinutes(1));
        await Wait.UntilAsync(() => _log.Lines.Any(line => line.StartsWith("15 Kubernetes Events were left out", StringComparison.Ordinal)), "the log tells of the rest");
        Assert.Equal(26, All().Count);
        // One more every five minutes.
        _time.Advance(TimeSpan.FromMinutes(5));
        _recorder.Record(Widget("w"), "Normal", "Opened", "Deliver", "Later.");
        await WaitForAsync(27);
    }

    [Fact]
    public async Task A_note_that_is_too_long_is_cut_between_characters_and_a_name_too()
    {
        var name = new string('n', 253);
        _recorder.Record(Widget(name), "Normal", "Long", "Tell", string.Concat(Enumerable.Repeat("ä€😀", 400)));
        var written = (await WaitForAsync(1))[0];
        var note = (string)written["note"]!;
        Assert.InRange(Encoding.UTF8.GetByteCount(note), 1010, 1024);
        Assert.EndsWith("…", note, StringComparison.Ordinal);
        Assert.DoesNotContain('\uFFFD', note);
        Assert.InRange(((string)written["metadata"]!["name"]!).Length, 1, 253);
        Assert.Equal(name, (string?)written["regarding"]!["name"]);
    }

    [Fact]
    public async Task An_event_that_has_expired_goes_on_in_another()
    {
        _recorder.Record(Widget("w"), "Normal", "Opened", "Deliver", "Again.");
        var first = (await WaitForAsync(1))[0];
        _server.Store.Delete(Events, "acme", (string)first["metadata"]!["name"]!);
        _recorder.Record(Widget("w"), "Normal", "Opened", "Deliver", "Again.");
        // What comes after it is written after it was counted.
        _recorder.Record(Widget("other"), "Normal", "Opened", "Deliver", "Again.");
        await WaitForAsync(1);
        _time.Advance(TimeSpan.FromMinutes(1));
        await WaitForAsync(2);
    }

    [Fact]
    public async Task An_API_server_that_does_not_answer_holds_up_neither_who_tells_nor_the_end_and_every_loss_is_counted()
    {
        const int Told = 3000;
        _server.Refuse = async _ =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, _stopServer.Token);
            return null;
        };
        for (var i = 0; i < Told; i++)
            _recorder.Record(Widget($"w{i}"), "Normal", "Opened", "Deliver", "Once.");
        await Wait.UntilAsync(() => _server.Requests.Count > 0, "the first is being written");
        await _stop.CancelAsync();
        // What is left has 5 s, by a clock that starts when the recorder notices.
        await Wait.UntilAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            return _run.IsCompleted;
        }, "the recorder has ended");
        Assert.Equal(Told, Lost("were left out") + Lost("could not be written"));

        int Lost(string how) => _log.Lines.Where(line => line.Contains(how, StringComparison.Ordinal))
            .Sum(line => int.Parse(line.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture));
    }

    private static V1ObjectReference Widget(string name) => new()
    {
        ApiVersion = "example.test/v1", Kind = "Widget", NamespaceProperty = "acme", Name = name, Uid = $"uid-{name}",
    };

    private IReadOnlyList<JsonObject> All() => _server.Store.List(Events, null).Items;

    private async Task<IReadOnlyList<JsonObject>> WaitForAsync(int count)
    {
        await Wait.UntilAsync(() => All().Count >= count, $"{count} events are written");
        return All();
    }

    private async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        _run = Task.FromCanceled(_stop.Token);
    }
}
