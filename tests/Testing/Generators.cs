using CsCheck;

namespace WebhookOperator.Tests.Testing;

/// <summary>What CsCheck leaves to be said again and again.</summary>
internal static class Generators
{
    public static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);
}
