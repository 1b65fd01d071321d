using System.Collections.Immutable;
using System.Globalization;
using System.Threading.Channels;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Cli.Demo;

/// <summary>One run of the demo against an operator that is up: publishes, shows, and counts at the receiver.</summary>
internal sealed class DemoRun(
    ApiClient api, DemoReceiver receiver, Uri receiverUrl, ChannelReader<AttemptReport> reports, IDemoScreen screen, TimeProvider time)
{
    private static readonly TimeSpan PublishInterval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan RefreshInterval = TimeSpan.FromMilliseconds(250);

    private readonly Dictionary<(string EventId, string Subscription), AttemptReport> _ended = [];
    private readonly HashSet<string> _eventIds = [];
    private int _expectedDeliveries;
    private int _nextEvent;

    /// <summary>Publishes every event and shows what happens, until <paramref name="untilEnded"/> holds or it is cancelled.</summary>
    /// <param name="events">In this order.</param>
    /// <param name="untilEnded">Return once every delivery has reached its end.</param>
    /// <param name="cancellation">Returns; it is not an error.</param>
    public async Task PlayAsync(ImmutableArray<DemoEvent> events, bool untilEnded, CancellationToken cancellation)
    {
        await screen.ShowAsync(await SubscriptionsAsync(cancellation), async () =>
        {
            var nextPublish = time.GetTimestamp();
            while (!cancellation.IsCancellationRequested)
            {
                while (reports.TryRead(out var report))
                    Note(report);
                if (_nextEvent < events.Length && time.GetElapsedTime(nextPublish) >= TimeSpan.Zero)
                {
                    await PublishAsync(events[_nextEvent++]);
                    nextPublish = time.GetTimestamp() + (long)(PublishInterval.TotalSeconds * time.TimestampFrequency);
                }
                var subscriptions = await SubscriptionsAsync(CancellationToken.None);
                screen.Update(subscriptions);
                // The status follows within a second or two; the last table is to show how things ended.
                if (untilEnded && _nextEvent == events.Length && EndedOfOurs() >= _expectedDeliveries
                    && subscriptions.All(subscription => subscription.Status?.Delivery?.Pending is null or 0))
                    return;
                await WaitAsync(cancellation);
            }
        });
    }

    /// <summary>
    /// What did not come out as it should: nothing may be missing that the receiver should have verified, and
    /// nothing may be delivered where nobody listens. Empty if all is well.
    /// </summary>
    public IReadOnlyList<string> Faults(ImmutableArray<DemoEvent> events, bool samples)
    {
        var faults = new List<string>();
        if (_nextEvent < events.Length)
            faults.Add(Invariant($"only {_nextEvent} of {events.Length} events were published"));
        var wanted = events.Take(_nextEvent).Sum(e => e.Deliveries);
        if (samples && _expectedDeliveries != wanted)
            faults.Add(Invariant($"the events should have made {wanted} deliveries, but there are {_expectedDeliveries}"));
        if (EndedOfOurs() < _expectedDeliveries)
            faults.Add(Invariant($"{_expectedDeliveries - EndedOfOurs()} of {_expectedDeliveries} deliveries have not reached their end"));
        foreach (var ((eventId, subscription), report) in _ended.Where(ended => _eventIds.Contains(ended.Key.EventId)))
        {
            if (ArrivesHere(report))
            {
                if (report.State != DeliveryState.Delivered)
                    faults.Add($"{subscription} {eventId} should have been delivered, but is {report.State}");
                else if (receiver.VerifiedCount(report.Subscription.Endpoint!.Url.AbsolutePath, eventId) == 0)
                    faults.Add($"{subscription} {eventId} is called delivered, but the receiver has not verified it");
            }
            else if (samples && report.State != DeliveryState.Dead)
            {
                faults.Add($"{subscription} {eventId} should be dead, since nobody listens there, but is {report.State}");
            }
        }
        faults.AddRange(receiver.Refused.Select(refused =>
            $"{refused.Key.Path} {refused.Key.WebhookId} was refused by the receiver: {refused.Value}"));
        return faults;
    }

    /// <summary>One line for each subscription: how many arrived and were verified, how many were given up.</summary>
    public IEnumerable<string> Summary() =>
        from ended in _ended
        where _eventIds.Contains(ended.Key.EventId)
        group ended.Value by ended.Key.Subscription into own
        orderby own.Key
        let verified = own.Count(report => ArrivesHere(report)
            && receiver.VerifiedCount(report.Subscription.Endpoint!.Url.AbsolutePath, report.Delivery.Event.Id.ToString()) > 0)
        let dead = own.Count(report => report.State == DeliveryState.Dead)
        let attempts = own.Sum(report => report.Attempt?.Number ?? report.Delivery.Attempts)
        select Invariant($"  {own.Key,-10} {own.Count(),3} deliveries, {attempts,3} attempts: ")
            + Invariant($"{verified} verified by the receiver, {dead} dead");

    private int EndedOfOurs() => _ended.Keys.Count(key => _eventIds.Contains(key.EventId));

    private bool ArrivesHere(AttemptReport report) => report.Subscription.Endpoint?.Url.Authority == receiverUrl.Authority;

    private async Task PublishAsync(DemoEvent next)
    {
        var e = next.Event with { Time = time.GetUtcNow() };
        var answer = await api.SendAsync(CloudEventRequest.Binary($"v1/namespaces/{DemoEvents.Namespace}/events", e), CancellationToken.None);
        var deliveries = (int)answer["deliveries"]!;
        _expectedDeliveries += deliveries;
        _eventIds.Add((string)answer["id"]!);
        var count = deliveries == 1 ? "1 delivery" : Invariant($"{deliveries} deliveries");
        screen.Line($"{Clock()}  published  {answer["id"]}  {e.Type} {e.Subject} → {count}");
    }

    private void Note(AttemptReport report)
    {
        if (report.State != DeliveryState.Pending)
            _ended[(report.Delivery.Event.Id.ToString(), report.Subscription.Name.Name)] = report;
        var (outcome, tone) = report.State switch
        {
            DeliveryState.Delivered => ("delivered", Tone.Good),
            DeliveryState.Pending => ($"again in {(report.DueTime - time.GetUtcNow())?.TotalSeconds ?? 0:0.0} s", Tone.Waiting),
            _ => (report.State.ToString().ToLowerInvariant(), Tone.Bad),
        };
        var what = "no attempt";
        if (report.Attempt is { } attempt)
        {
            var result = attempt.StatusCode is { } code ? Invariant($"{code}") : attempt.Error.ToString();
            what = Invariant($"attempt {attempt.Number}: {result} in {attempt.Duration.TotalMilliseconds:0} ms");
        }
        screen.Line($"{Clock()}  {report.Subscription.Name.Name,-9}  {report.Delivery.Event.Id}  {what} → {outcome}", tone);
    }

    private async Task<IReadOnlyList<WebhookSubscription>> SubscriptionsAsync(CancellationToken cancellation) =>
        [.. GetVerb.Subscriptions(await api.GetAsync($"v1/namespaces/{DemoEvents.Namespace}/subscriptions", cancellation))];

    /// <summary>For a report, or until it is time to look again.</summary>
    private async Task WaitAsync(CancellationToken cancellation)
    {
        using var tick = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        tick.CancelAfter(RefreshInterval);
        try
        {
            await reports.WaitToReadAsync(tick.Token);
        }
        catch (OperationCanceledException)
        {
            // Time to look again.
        }
    }

    private string Clock() => time.GetLocalNow().ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
