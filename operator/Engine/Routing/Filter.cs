using System.Collections.Immutable;

namespace WebhookOperator.Engine.Routing;

/// <summary>Which events a subscription wants: a type, a source and every expression must match; empty lists match all.</summary>
internal sealed record Filter
{
    public static readonly Filter All = new();

    /// <summary>Exact event types, or prefixes that end in <c>*</c>.</summary>
    public ImmutableArray<string> Types { get; init; } = [];

    /// <summary>Exact event sources, or prefixes that end in <c>*</c>.</summary>
    public ImmutableArray<string> Sources { get; init; } = [];

    public ImmutableArray<MatchExpression> Expressions { get; init; } = [];
}

internal enum MatchOperator { In, NotIn, Exists, DoesNotExist, Gt, Gte, Lt, Lte, Prefix, Suffix }

/// <param name="Key">A context attribute by its name, or <c>data.</c> and a path of member names or array indexes.</param>
/// <param name="Operator">How to compare.</param>
/// <param name="Values">One number for the four comparisons, none for the two existence tests, else one or more.</param>
internal sealed record MatchExpression(string Key, MatchOperator Operator, ImmutableArray<string> Values);
