using Spectre.Console;
using WebhookOperator.Api;

namespace WebhookOperator.Cli.Demo;

/// <summary>Where the demo shows what happens. Called from one thread at a time.</summary>
internal interface IDemoScreen
{
    /// <summary>Shows the table of subscriptions as long as the body runs.</summary>
    Task ShowAsync(IReadOnlyList<WebhookSubscription> first, Func<Task> body);

    /// <summary>How the subscriptions stand now.</summary>
    void Update(IReadOnlyList<WebhookSubscription> subscriptions);

    /// <summary>A line that stays.</summary>
    void Line(string text, Tone tone = Tone.Plain);
}

internal enum Tone { Plain, Good, Bad, Waiting }

/// <summary>For pipes and logs: lines, with the table before and after.</summary>
internal sealed class PlainScreen(TextWriter writer, TimeProvider time) : IDemoScreen
{
    private IReadOnlyList<WebhookSubscription> _latest = [];

    public async Task ShowAsync(IReadOnlyList<WebhookSubscription> first, Func<Task> body)
    {
        Table(first);
        await body();
        Table(_latest);
    }

    public void Update(IReadOnlyList<WebhookSubscription> subscriptions) => _latest = subscriptions;

    public void Line(string text, Tone tone = Tone.Plain)
    {
        writer.WriteLine(text);
        writer.Flush();
    }

    private void Table(IReadOnlyList<WebhookSubscription> subscriptions)
    {
        var table = new TextTable(SubscriptionTable.Heads);
        foreach (var subscription in subscriptions)
            table.Add(SubscriptionTable.Row(subscription, time));
        writer.WriteLine();
        table.Write(writer);
        writer.WriteLine();
        writer.Flush();
    }
}

/// <summary>For a terminal: the table stays at the bottom and changes, the lines scroll above it.</summary>
internal sealed class LiveScreen(IAnsiConsole console, TimeProvider time) : IDemoScreen
{
    private LiveDisplayContext? _live;

    public Task ShowAsync(IReadOnlyList<WebhookSubscription> first, Func<Task> body) =>
        console.Live(Table(first)).StartAsync(async live =>
        {
            _live = live;
            live.Refresh();
            await body();
            _live = null;
        });

    public void Update(IReadOnlyList<WebhookSubscription> subscriptions) => _live?.UpdateTarget(Table(subscriptions));

    public void Line(string text, Tone tone = Tone.Plain) => console.MarkupLine(tone switch
    {
        Tone.Good => $"[green]{Markup.Escape(text)}[/]",
        Tone.Bad => $"[red]{Markup.Escape(text)}[/]",
        Tone.Waiting => $"[yellow]{Markup.Escape(text)}[/]",
        _ => Markup.Escape(text),
    });

    private Table Table(IReadOnlyList<WebhookSubscription> subscriptions)
    {
        var table = new Table().RoundedBorder().AddColumns(SubscriptionTable.Heads);
        foreach (var subscription in subscriptions)
            table.AddRow([.. SubscriptionTable.Row(subscription, time).Select(Cell)]);
        return table;
    }

    private static Markup Cell(string text) => new(text switch
    {
        "Open" => $"[red]{text}[/]",
        "HalfOpen" => $"[yellow]{text}[/]",
        "Closed" or "True" => $"[green]{text}[/]",
        _ => Markup.Escape(text),
    });
}
