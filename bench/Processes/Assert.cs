using System.Diagnostics.CodeAnalysis;

namespace WebhookOperator.Tests.Testing;

/// <summary>Stands in for that of the test framework: what can't run here ends its section, with the reason.</summary>
internal static class Assert
{
    public static void SkipUnless([DoesNotReturnIf(false)] bool condition, string reason)
    {
        if (!condition)
            throw new InvalidOperationException(reason);
    }
}
