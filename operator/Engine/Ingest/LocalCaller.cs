using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace WebhookOperator.Engine.Ingest;

/// <summary>Who may call in local mode: the machine itself, or whoever has one of the tokens, where there are any.</summary>
/// <param name="tokens">Empty: only callers on the loopback interface, without a token.</param>
internal sealed class LocalCaller(IReadOnlyList<string> tokens)
{
    private static readonly ValueTask<Problem?> Allowed = new((Problem?)null);
    private readonly byte[][] _hashes = [.. tokens.Select(token => SHA256.HashData(Encoding.UTF8.GetBytes(token)))];

    public ValueTask<Problem?> AuthorizeAsync(HttpContext context, string @namespace, ApiAccess access)
    {
        if (_hashes.Length == 0)
            return context.Connection.RemoteIpAddress is { } address && IPAddress.IsLoopback(address) ? Allowed : Refused(
                StatusCodes.Status403Forbidden, "Without an API token only this machine itself may call; start the operator with --api-token-file.");
        var header = context.Request.Headers.Authorization.ToString();
        if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return Refused(StatusCodes.Status401Unauthorized, "Send a token of the operator's token file as 'Authorization: Bearer TOKEN'.");
        var given = SHA256.HashData(Encoding.UTF8.GetBytes(header[7..].Trim()));
        var known = false;
        foreach (var hash in _hashes)
            known |= CryptographicOperations.FixedTimeEquals(hash, given);
        return known ? Allowed : Refused(StatusCodes.Status401Unauthorized, "The token is not in the operator's token file.");
    }

    private static ValueTask<Problem?> Refused(int status, string detail) => new(new Problem(status, detail));
}
