using System.Collections.Immutable;
using k8s.Models;

namespace WebhookOperator.Status;

/// <summary>A condition before it has a time.</summary>
/// <param name="Type">One of <see cref="Api.ConditionTypes"/>.</param>
/// <param name="Status">True or false; null means Unknown.</param>
/// <param name="Reason">A CamelCase word that scripts may rely on.</param>
/// <param name="Message">For people. Never holds a credential.</param>
internal sealed record ConditionDraft(string Type, bool? Status, string Reason, string Message)
{
    /// <summary>As a condition says it.</summary>
    public string StatusText => Status switch { true => "True", false => "False", null => "Unknown" };
}

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
            var last = before?.FirstOrDefault(condition => condition.Type == draft.Type);
            conditions.Add(new V1Condition
            {
                Type = draft.Type,
                Status = draft.StatusText,
                Reason = draft.Reason,
                Message = draft.Message.Length <= MaxMessage ? draft.Message : draft.Message[..MaxMessage],
                ObservedGeneration = generation,
                LastTransitionTime = last?.Status == draft.StatusText ? last.LastTransitionTime : now.ToStatusTime(),
            });
        }
        return conditions.ToImmutable();
    }

    /// <summary>Whole seconds, as in every time that the Kubernetes API writes (meta/v1 Time).</summary>
    public static DateTime ToStatusTime(this DateTimeOffset time) =>
        new(time.UtcTicks - time.UtcTicks % TimeSpan.TicksPerSecond, DateTimeKind.Utc);
}
