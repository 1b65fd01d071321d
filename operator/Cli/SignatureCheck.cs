using WebhookOperator.Engine.Http;

namespace WebhookOperator.Cli;

/// <summary>A receiver's check of signatures, with verdicts in words.</summary>
internal sealed class SignatureCheck
{
    private readonly SignatureVerifier _verifier;

    /// <param name="keys"><c>whsec_…</c> or <c>whpk_…</c>, each without a <see cref="FaultOf"/>; one of them must fit.</param>
    public SignatureCheck(IEnumerable<string> keys) =>
        _verifier = SignatureVerifier.TryCreate(keys, out var verifier, out var error)
            ? verifier : throw new ArgumentException($"A key {error}.", nameof(keys));

    /// <summary>What is wrong with a key, to be read after its name; never shows it. Null for a good one.</summary>
    public static string? FaultOf(string key) => SignatureVerifier.TryCreate([key], out _, out var error) ? null : error;

    /// <summary>Why the request can't be trusted; null if it is signed with one of the keys.</summary>
    public string? Fault(ReceivedRequest request, DateTimeOffset now)
    {
        var verdict = _verifier.Verify(
            request.Headers["webhook-id"], request.Headers["webhook-timestamp"], request.Headers["webhook-signature"], request.Body, now);
        return verdict switch
        {
            SignatureVerdict.Valid => null,
            SignatureVerdict.MissingHeader => "a header webhook-id, webhook-timestamp or webhook-signature is missing",
            SignatureVerdict.MalformedTimestamp => "webhook-timestamp is not a number of seconds",
            SignatureVerdict.TimestampOutOfTolerance =>
                $"webhook-timestamp is more than {SignatureVerifier.Tolerance.TotalMinutes:0} minutes off: a replay, or a wrong clock",
            _ => "no signature was made with this key over these bytes",
        };
    }
}
