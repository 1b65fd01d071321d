using System.Collections.Immutable;
using k8s.Models;

namespace WebhookOperator.Status;

/// <summary>A condition before it has a time.</summary>
/// <param name="Type">One of <see cref="Api.ConditionTypes"/>.</param>
/// <param name="Status">True or false; null means Unknown.</param>
/// <param name="Reason">A CamelCase word that scripts may rely on.</param>
/// <param name="Message">For people. Never holds a credential.</param>
internal sealed record ConditionDraft(string Type, bool? Status, string Reason, string Message);

internal static class ConditionDrafts
{
    /// <summary>What the Kubernetes API takes in a condition's message.</summary>
    private const int MaxMessage = 32768;

    /// <summary>Gives each condition its time: that of the last change of its status, not of its message (meta/v1 Condition).</summary>
    public static IReadOnlyList<V1Condition> ToConditions(
        this IEnumerable<ConditionDraft> drafts, IReadOnlyList<V1Condition>? before, long? generation, DateTimeOffset now)
    {
        var conditions = ImmutableArray.CreateBuilder<V1Condition>();
        foreach (var draft in drafts)
        {
            var status = draft.Status switch { true => "True", false => "False", null => "Unknown" };
            var last = before?.FirstOrDefault(condition => condition.Type == draft.Type);
            conditions.Add(new V1Condition
            {
                Type = draft.Type,
                Status = status,
                Reason = draft.Reason,
                Message = draft.Message.Length <= MaxMessage ? draft.Message : draft.Message[..MaxMessage],
                ObservedGeneration = generation,
                LastTransitionTime = last?.Status == status ? last.LastTransitionTime : now.UtcDateTime,
            });
        }
        return conditions.ToImmutable();
    }
}
