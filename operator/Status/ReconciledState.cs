using System.Collections.Immutable;

namespace WebhookOperator.Status;

/// <summary>What follows from a subscription's spec.</summary>
/// <param name="Uid">Of the subscription that was looked at.</param>
/// <param name="Generation">The generation that was looked at.</param>
/// <param name="Conditions">All but those that tell of the receiver.</param>
/// <param name="Endpoint">Where requests go, in a form fit for status; null if that is not known.</param>
internal sealed record ReconciledState(string Uid, long Generation, ImmutableArray<ConditionDraft> Conditions, string? Endpoint);
