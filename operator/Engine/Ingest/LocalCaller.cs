using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace WebhookOperator.Engine.Ingest;

/// <summary>
/// Who may call in local mode: the machine itself, or whoever has one of the tokens, where there are any. Without
/// them, pages that a browser on this machine shows are kept out too, in either way that they could get in:
/// by a request across sites, or by a name of their own that they let resolve to this machine.
/// </summary>
/// <param name="tokens">Empty: only callers on the loopback interface, without a token.</param>
/// <param name="host">What the API listens at; callers may name it by that too.</param>
internal sealed class LocalCaller(IReadOnlyList<string> tokens, string host)
{
    private static readonly ValueTask<Problem?> Allowed = new((Problem?)null);
    private readonly byte[][] _hashes = [.. tokens.Select(token => SHA256.HashData(Encoding.UTF8.GetBytes(token)))];

    public ValueTask<Problem?> AuthorizeAsync(HttpContext context, string @namespace, ApiAccess access)
    {
        if (_hashes.Length == 0)
            return WhyRefused(context) is { } why ? Refused(StatusCodes.Status403Forbidden, $"{why}; start the operator with --api-token-file.") : Allowed;
        var header = context.Request.Headers.Authorization.ToString();
        if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return Refused(StatusCodes.Status401Unauthorized, "Send a token of the operator's token file as 'Authorization: Bearer TOKEN'.");
        var given = SHA256.HashData(Encoding.UTF8.GetBytes(header[7..].Trim()));
        var known = false;
        foreach (var hash in _hashes)
            known |= CryptographicOperations.FixedTimeEquals(hash, given);
        return known ? Allowed : Refused(StatusCodes.Status401Unauthorized, "The token is not in the operator's token file.");
    }

    private string? WhyRefused(HttpContext context)
    {
        var request = context.Request;
        if (context.Connection.RemoteIpAddress is not { } address || !IPAddress.IsLoopback(address))
            return "Without an API token only this machine itself may call";
        if (request.Headers.ContainsKey("Origin") || !IsOwn(request.Headers["Sec-Fetch-Site"].ToString()))
            return "Without an API token no web page may call, and this request comes from one (it has the header Origin or Sec-Fetch-Site)";
        return IsLocal(request.Host.Host) ? null
            : "Without an API token the API is called by this machine's own names, such as localhost, and not by the one in the header Host";
    }

    /// <summary>Absent, or a browser says that its user typed the address, or that the page is one of the API's own.</summary>
    private static bool IsOwn(string site) => site is "" or "none" or "same-origin";

    /// <summary>HTTP/1.0 needs no name; browsers always send one.</summary>
    private bool IsLocal(string name) =>
        name.Length == 0
        || name.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || name.Equals(host, StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(name, out var address) && IPAddress.IsLoopback(address));

    private static ValueTask<Problem?> Refused(int status, string detail) => new(new Problem(status, detail));
}
