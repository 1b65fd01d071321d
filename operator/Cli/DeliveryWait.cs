using System.Globalization;
using System.Text.Json.Nodes;

namespace WebhookOperator.Cli;

/// <summary>Waits until the deliveries of events that were just published have reached their end.</summary>
/// <param name="api">The operator that took the events.</param>
/// <param name="namespacePath"><c>v1/namespaces/NS/</c>, escaped.</param>
/// <param name="shell">Where each delivery's end is printed.</param>
internal sealed class DeliveryWait(ApiClient api, string namespacePath, Shell shell)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    /// <param name="events">The events' ids, and how many deliveries each has.</param>
    /// <param name="since">No later than the first of them was published.</param>
    /// <param name="limit">The longest wait.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>Whether all were delivered.</returns>
    /// <exception cref="VerbFailedException">Some were not at their end when the limit was reached, or the API failed.</exception>
    public async Task<bool> AllDeliveredAsync(
        IReadOnlyDictionary<string, int> events, DateTimeOffset since, TimeSpan limit, CancellationToken cancellation)
    {
        var started = shell.Time.GetTimestamp();
        var ended = new Dictionary<string, bool>(StringComparer.Ordinal);
        while (true)
        {
            foreach (var subscription in await SubscriptionsAsync(cancellation))
                await foreach (var delivery in DeliveriesAsync(subscription, since, cancellation))
                    if (events.ContainsKey((string?)delivery["eventId"] ?? ""))
                        Note(subscription, delivery, ended);
            if (ended.Count >= events.Values.Sum())
                return ended.Values.All(delivered => delivered);
            if (shell.Time.GetElapsedTime(started) >= limit)
            {
                throw new VerbFailedException(string.Create(CultureInfo.InvariantCulture,
                    $"{events.Values.Sum() - ended.Count} of {events.Values.Sum()} deliveries were still pending after {limit.TotalSeconds:0} s. ")
                    + $"See '{CommandLine.Program} deliveries SUBSCRIPTION'.");
            }
            await Task.Delay(Interval, shell.Time, cancellation);
        }
    }

    private void Note(string subscription, JsonNode delivery, Dictionary<string, bool> ended)
    {
        var state = (string?)delivery["state"];
        if (state is null or "Pending" || !ended.TryAdd((string?)delivery["id"] ?? "", state == "Delivered"))
            return;
        var last = delivery["lastStatusCode"]?.ToString() ?? (string?)delivery["lastError"];
        shell.Out.WriteLine($"{delivery["eventId"]}  {subscription}  {state.ToLowerInvariant()} at attempt {delivery["attemptCount"]}"
            + (last is null ? "" : $": {last}"));
    }

    private async Task<string[]> SubscriptionsAsync(CancellationToken cancellation) =>
        [.. GetVerb.Subscriptions(await api.GetAsync(namespacePath + "subscriptions", cancellation)).Select(found => found.Metadata.Name)];

    private async IAsyncEnumerable<JsonNode> DeliveriesAsync(
        string subscription, DateTimeOffset since, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        var from = Uri.EscapeDataString(since.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFF'Z'", CultureInfo.InvariantCulture));
        var path = $"{namespacePath}subscriptions/{Uri.EscapeDataString(subscription)}/deliveries?limit=500&since={from}";
        for (string? next = ""; next is not null;)
        {
            var page = await api.GetAsync(path + (next.Length > 0 ? "&continue=" + Uri.EscapeDataString(next) : ""), cancellation);
            foreach (var item in (page["items"] as JsonArray ?? []).OfType<JsonNode>())
                yield return item;
            next = (string?)page["continue"];
        }
    }
}
