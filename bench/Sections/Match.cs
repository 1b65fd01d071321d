using System.Diagnostics;
using System.Text;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Bench.Sections;

/// <summary>One event against 10,000 subscriptions, of which 1 % want it.</summary>
internal static class Match
{
    private const double WantedMicroseconds = 50;
    private const int Subscriptions = 10_000;
    private const int Groups = 100;
    private const int PerGroup = Subscriptions / Groups;

    public static Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        var (warmUp, time) = (bench.Seconds(1, 0.3), bench.Seconds(2, 0.5));
        var limit = $"adding {PerGroup} to a list {Figure.Text(Median(AddMatches(), warmUp, time), "µs")}";
        return Task.FromResult<IReadOnlyList<Figure>>(
        [
            Figure.AtMost("by exact type", Measure(g => new Filter { Types = [TypeOf(g)] }), WantedMicroseconds, limit, "µs"),
            Figure.AtMost(
                "by prefix of the type", Measure(g => new Filter { Types = [$"com.acme.t{g:00}.*"] }), WantedMicroseconds, limit, "µs"),
            new("by source", Figure.Text(Measure(g => new Filter { Sources = [SourceOf(g)] }), "µs"), limit),
            new("by an expression on data", Figure.Text(Measure(g => new Filter
            {
                Expressions = [new MatchExpression("data.customer", MatchOperator.In, [CustomerOf(g)])],
            }), "µs"), limit),
        ]);

        double Measure(Func<int, Filter> filterOfGroup)
        {
            cancellation.ThrowIfCancellationRequested();
            var table = RouteTable.Build(Enumerable.Range(0, Subscriptions).Select(i => NewSubscription(i, filterOfGroup(i % Groups))));
            var events = Enumerable.Range(0, Groups).Select(NewEvent).ToArray();
            var next = 0;
            return Median(MatchNext, warmUp, time);

            void MatchNext(List<Subscription> matches)
            {
                table.Match(events[next++ % Groups], matches);
                if (matches.Count != PerGroup)
                    throw new InvalidOperationException($"{matches.Count} subscriptions match instead of {PerGroup}.");
            }
        }
    }

    /// <summary>The least that any way of matching does: it finds the list, and hands it over.</summary>
    private static Action<List<Subscription>> AddMatches()
    {
        var byType = Enumerable.Range(0, Groups).ToDictionary(
            TypeOf, g => Enumerable.Range(0, PerGroup).Select(i => NewSubscription(i, Filter.All)).ToArray());
        var next = 0;
        var types = byType.Keys.ToArray();
        return matches => matches.AddRange(byType[types[next++ % Groups]]);
    }

    /// <summary>Microseconds of one call.</summary>
    private static double Median(Action<List<Subscription>> match, TimeSpan warmUp, TimeSpan time)
    {
        var (matches, times) = (new List<Subscription>(), new List<double>());
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < warmUp + time)
        {
            matches.Clear();
            var start = Stopwatch.GetTimestamp();
            match(matches);
            var elapsed = Stopwatch.GetTimestamp() - start;
            if (clock.Elapsed >= warmUp)
                times.Add(elapsed * 1e6 / Stopwatch.Frequency);
        }
        return Sample.Median(times);
    }

    private static Subscription NewSubscription(int index, Filter filter) => new()
    {
        Uid = $"uid-{index}", Name = new NamespacedName("bench", $"s{index}"), Generation = 1, Filter = filter, Delivery = new DeliveryPolicy(),
    };

    /// <summary>A body of about 1 KiB, with what expressions look at behind all the rest.</summary>
    private static Event NewEvent(int group)
    {
        var body = Encoding.UTF8.GetBytes($$"""{"lines":["{{new string('x', 960)}}"],"customer":"{{CustomerOf(group)}}"}""");
        return new Event
        {
            Id = $"{group}", Source = SourceOf(group), Type = TypeOf(group), DataContentType = "application/json",
            Encoding = EventEncoding.Binary, Body = body, DataRange = ..body.Length,
        };
    }

    private static string TypeOf(int group) => $"com.acme.t{group:00}.created";

    private static string SourceOf(int group) => $"/shops/{group}";

    private static string CustomerOf(int group) => $"c{group}";
}
