namespace WebhookOperator.Tests.Testing;

/// <summary>A request as it came in, byte for byte.</summary>
/// <param name="Target">Path and query, as sent.</param>
/// <param name="Headers">One entry for each line; names and values as sent, one byte a character.</param>
/// <param name="Protocol"><c>HTTP/1.1</c> or <c>HTTP/2</c>.</param>
/// <param name="Connection">Names the connection that it came on.</param>
internal sealed record Received(
    string Method, string Target, string Protocol, string Connection, IReadOnlyList<KeyValuePair<string, string>> Headers, byte[] Body)
{
    /// <summary>The server name that was asked for in TLS (SNI); null if none was.</summary>
    public string? ServerName { get; init; }

    /// <summary>The subject of the client's certificate; null if none was presented.</summary>
    public string? Client { get; init; }

    /// <summary>The one value of a header; null if it is absent, an error if it came twice.</summary>
    public string? Header(string name) =>
        Headers.SingleOrDefault(h => string.Equals(h.Key, name, StringComparison.OrdinalIgnoreCase)).Value;
}
