using System.Globalization;
using System.Text;
using WebhookOperator.Engine.Http;

namespace WebhookOperator.Tests.Engine.Http;

public sealed class SignatureVerifierTests
{
    public static TheoryData<string> Names() => [.. Vectors.Valid.Keys];

    public static TheoryData<string> InvalidSignatures() => [.. Vectors.InvalidSignatures];

    public static TheoryData<string> InvalidSecrets() => [.. Vectors.InvalidSecrets];

    [Theory]
    [MemberData(nameof(Names))]
    public void Accepts_the_vector_and_no_other_body(string name)
    {
        var vector = Vectors.Valid[name];
        Assert.Equal(SignatureVerdict.Valid, Verify(vector));
        Assert.Equal(SignatureVerdict.NoMatch, Verify(vector with { Body = vector.Body + " " }));
        Assert.Equal(SignatureVerdict.NoMatch, Verify(vector with { Id = vector.Id + "x" }));
    }

    [Theory]
    [MemberData(nameof(InvalidSignatures))]
    public void Refuses_a_bad_signature(string signature) =>
        Assert.Equal(SignatureVerdict.NoMatch, Verify(Vectors.Valid["hmac-a"] with { Signature = signature }));

    [Theory]
    [MemberData(nameof(InvalidSecrets))]
    public void Refuses_a_bad_secret_without_repeating_it(string secret)
    {
        Assert.False(SignatureVerifier.TryCreate([secret], out _, out var error));
        Assert.DoesNotContain("not base64!", error);
    }

    [Fact]
    public void Takes_any_one_good_signature_among_others()
    {
        var vector = Vectors.Valid["hmac-a"];
        Assert.Equal(SignatureVerdict.Valid, Verify(vector with { Signature = $"v1a,AAAA v1,AAAA nonsense {vector.Signature} v9,x" }));
    }

    [Theory]
    [InlineData(-300, nameof(SignatureVerdict.Valid))]
    [InlineData(300, nameof(SignatureVerdict.Valid))]
    [InlineData(-301, nameof(SignatureVerdict.TimestampOutOfTolerance))]
    [InlineData(301, nameof(SignatureVerdict.TimestampOutOfTolerance))]
    public void Allows_five_minutes_of_clock_difference_either_way(int seconds, string verdict) =>
        Assert.Equal(verdict, Verify(Vectors.Valid["hmac-a"], TimeSpan.FromSeconds(seconds)).ToString());

    [Theory]
    [InlineData("1.5e9")]
    [InlineData("-1")]
    [InlineData(" 1614265330")]
    [InlineData("99999999999999999999")]
    public void Tells_a_timestamp_that_is_none(string timestamp) =>
        Assert.Equal(SignatureVerdict.MalformedTimestamp, Verifier("hmac-a").Verify("a", timestamp, "v1,x", [], DateTimeOffset.UnixEpoch));

    [Theory]
    [InlineData(null, "1", "v1,x")]
    [InlineData("a", null, "v1,x")]
    [InlineData("a", "1", null)]
    [InlineData("a", "1", "")]
    public void Tells_an_absent_header(string? id, string? timestamp, string? signature) =>
        Assert.Equal(SignatureVerdict.MissingHeader, Verifier("hmac-a").Verify(id, timestamp, signature, [], DateTimeOffset.UnixEpoch));

    private static SignatureVerifier Verifier(string name) =>
        SignatureVerifier.TryCreate([Vectors.Valid[name].VerificationKey()], out var verifier, out var error)
            ? verifier
            : throw new FormatException(error);

    private static SignatureVerdict Verify(Vector vector, TimeSpan ahead = default) => Verifier(vector.Name).Verify(
        vector.Id, vector.Timestamp.ToString(CultureInfo.InvariantCulture), vector.Signature, Encoding.UTF8.GetBytes(vector.Body),
        DateTimeOffset.FromUnixTimeSeconds(vector.Timestamp) + ahead);
}
