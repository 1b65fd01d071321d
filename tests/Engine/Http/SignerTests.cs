using System.Security.Cryptography;
using System.Text;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Tests.Engine.Http;

public sealed class SignerTests
{
    public static TheoryData<string> Names() => [.. Vectors.Valid.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Signs_as_the_vector_says(string name)
    {
        var vector = Vectors.Valid[name];
        Assert.Equal(vector.Signature, Signer.Sign([vector.ToKey()], vector.Id, vector.Timestamp, Encoding.UTF8.GetBytes(vector.Body)));
    }

    [Fact]
    public void Signs_once_with_each_key_in_their_order()
    {
        var keys = Vectors.Valid.Values.Select(v => v.ToKey()).ToArray();
        var body = "{}"u8.ToArray();

        var header = Signer.Sign([.. keys], "evt_1", 1700000000, body);

        Assert.Equal(string.Join(' ', keys.Select(k => Signer.Sign([k], "evt_1", 1700000000, body))), header);
        Assert.Equal(keys.Length, header.Split(' ').Length);
    }

    [Fact]
    public void Threads_that_sign_at_once_with_one_key_do_not_mix_up_what_they_sign()
    {
        var vector = Vectors.Valid.Values.First(v => v.ToKey().Algorithm == SigningAlgorithm.HmacSha256);
        var key = vector.ToKey();
        var wrong = 0;

        Parallel.For(0, 8, worker =>
        {
            for (var i = 0; i < 1000; i++)
            {
                var body = Encoding.UTF8.GetBytes($"{worker}-{i}");
                var expected = HMACSHA256.HashData(key.Material.Span, Encoding.UTF8.GetBytes($"evt_1.1700000000.{worker}-{i}"));
                if (Signer.Sign([key], "evt_1", 1700000000, body) != $"v1,{Convert.ToBase64String(expected)}")
                    Interlocked.Increment(ref wrong);
            }
        });

        Assert.Equal(0, wrong);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(256 * 1024)]
    public void Signs_any_bytes(int length)
    {
        var body = new byte[length];
        new Random(length).NextBytes(body);
        var key = SigningKey.Generate(SigningAlgorithm.HmacSha256);
        var pair = SigningKey.Generate(SigningAlgorithm.Ed25519);
        var now = DateTimeOffset.FromUnixTimeSeconds(1700000000);

        var header = Signer.Sign([key, pair], "evt_1", now.ToUnixTimeSeconds(), body);

        foreach (var verification in new[] { key.ToSecretText(), pair.PublicKey! })
        {
            Assert.True(SignatureVerifier.TryCreate([verification], out var verifier, out _));
            Assert.Equal(SignatureVerdict.Valid, verifier.Verify("evt_1", "1700000000", header, body, now));
            Assert.Equal(SignatureVerdict.NoMatch, verifier.Verify("evt_1", "1700000000", header, [.. body, 0], now));
            Assert.Equal(SignatureVerdict.NoMatch, verifier.Verify("evt_2", "1700000000", header, body, now));
            Assert.Equal(SignatureVerdict.NoMatch, verifier.Verify("evt_1", "1700000001", header, body, now));
        }
    }
}
