using System.Collections.Frozen;

namespace WebhookOperator.Engine.Http;

/// <summary>Headers that the sender or HTTP itself sets; a subscription's own headers can't be among them.</summary>
internal static class ReservedHeaders
{
    private static readonly FrozenSet<string> Names = new[]
    {
        "connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive", "proxy-connection", "te",
        "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent",
    }.ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    /// <param name="header">In any case.</param>
    public static bool Contains(string header) =>
        Names.Contains(header)
        || header.StartsWith("webhook-", StringComparison.OrdinalIgnoreCase)
        || header.StartsWith("ce-", StringComparison.OrdinalIgnoreCase);
}
