using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Tests.Engine.Routing;

public sealed class SigningKeyTests
{
    private const string Public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

    [Theory]
    [InlineData(24)]
    [InlineData(25)]
    [InlineData(32)]
    [InlineData(64)]
    public void A_secret_is_read_with_or_without_prefix_and_padding(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        var text = Convert.ToBase64String(bytes);
        foreach (var form in new[] { text, text.TrimEnd('='), $"whsec_{text}", $"whsec_{text.TrimEnd('=')}", $" whsec_{text}\n" })
        {
            var key = Parse(form, SigningAlgorithm.HmacSha256);
            Assert.Equal(bytes, key.Material.ToArray());
            Assert.Equal($"whsec_{text}", key.ToSecretText());
        }
    }

    [Theory]
    [InlineData(nameof(SigningAlgorithm.HmacSha256))]
    [InlineData(nameof(SigningAlgorithm.Ed25519))]
    public void A_generated_key_survives_its_text_and_is_like_no_other(string name)
    {
        var algorithm = Enum.Parse<SigningAlgorithm>(name);
        var key = SigningKey.Generate(algorithm);
        var again = Parse(key.ToSecretText(), algorithm);

        Assert.Equal(key.Id, again.Id);
        Assert.Equal(key.PublicKey, again.PublicKey);
        Assert.Equal(key.ToSecretText(), again.ToSecretText());
        Assert.NotEqual(key.Id, SigningKey.Generate(algorithm).Id);
    }

    [Theory]
    [InlineData("", "0 bytes long")]
    [InlineData("whsec_", "0 bytes long")]
    [InlineData("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ", "20 bytes long")]
    [InlineData("whsec_not base64!", "is not base64")]
    [InlineData("whsec_AAAAA", "is not base64")]
    [InlineData("whsk_AAAA", "the algorithm is HmacSha256")]
    [InlineData(Public, "the algorithm is HmacSha256")]
    public void A_bad_secret_is_told_what_would_be_right_and_not_repeated(string text, string told) =>
        Refused(text, SigningAlgorithm.HmacSha256, told);

    [Theory]
    [InlineData("", "it must be whsk_")]
    [InlineData("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "it must be whsk_")]
    [InlineData("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "is not the base64 of 64 bytes")]
    [InlineData("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvw==", "does not belong to its seed")]
    [InlineData(Public, "is a public key")]
    public void A_bad_private_key_is_told_what_would_be_right_and_not_repeated(string text, string told) =>
        Refused(text, SigningAlgorithm.Ed25519, told);

    [Fact]
    public void An_Ed25519_key_tells_its_public_half()
    {
        const string text = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
        Assert.Equal(Public, Parse(text, SigningAlgorithm.Ed25519).PublicKey);
    }

    [Fact]
    public void A_key_prints_as_its_id()
    {
        var key = SigningKey.Generate(SigningAlgorithm.HmacSha256);
        Assert.Equal(key.Id, $"{key}");
        Assert.Matches("^[0-9a-f]{12}$", key.Id);
    }

    private static SigningKey Parse(string text, SigningAlgorithm algorithm)
    {
        Assert.True(SigningKey.TryParse(text, algorithm, out var key, out var error), error);
        return key;
    }

    private static void Refused(string text, SigningAlgorithm algorithm, string told)
    {
        Assert.False(SigningKey.TryParse(text, algorithm, out _, out var error));
        Assert.Contains(told, error);
        var secret = text[(text.IndexOf('_', StringComparison.Ordinal) + 1)..];
        if (secret.Length > 0)
            Assert.DoesNotContain(secret, error);
    }
}
