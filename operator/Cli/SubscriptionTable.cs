using System.Globalization;
using k8s.Models;
using WebhookOperator.Api;

namespace WebhookOperator.Cli;

/// <summary>Subscriptions under the printer columns of the CRD, so that they look as kubectl shows them.</summary>
internal static class SubscriptionTable
{
    private const string None = "<none>";

    public static readonly string[] Heads = ["NAME", "ENDPOINT", "READY", "CIRCUIT", "PENDING", "LAST-SUCCESS", "AGE"];

    /// <summary>With the columns of priority 1.</summary>
    public static readonly string[] WideHeads = [.. Heads[..^1], "REASON", Heads[^1]];

    public static string[] Row(WebhookSubscription subscription, TimeProvider time)
    {
        var status = subscription.Status;
        return
        [
            subscription.Metadata.Name,
            status?.Endpoint ?? None,
            Ready(subscription)?.Status ?? None,
            status?.Circuit?.State ?? None,
            status?.Delivery?.Pending?.ToString(CultureInfo.InvariantCulture) ?? None,
            TextTable.Age(Utc(status?.Delivery?.LastSuccessTime), time),
            TextTable.Age(Utc(subscription.Metadata.CreationTimestamp), time),
        ];
    }

    /// <inheritdoc cref="WideHeads"/>
    public static string[] WideRow(WebhookSubscription subscription, TimeProvider time)
    {
        var row = Row(subscription, time);
        return [.. row[..^1], Ready(subscription)?.Reason ?? None, row[^1]];
    }

    private static V1Condition? Ready(WebhookSubscription subscription) =>
        subscription.Status?.Conditions?.FirstOrDefault(condition => condition.Type == ConditionTypes.Ready);

    private static DateTimeOffset? Utc(DateTime? time) =>
        time is null ? null : new DateTimeOffset(DateTime.SpecifyKind(time.Value.ToUniversalTime(), DateTimeKind.Utc));
}
