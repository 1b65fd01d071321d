using System.Text;
using CsCheck;
using WebhookOperator.Engine.Http;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>A receiver's text must not be able to make the store refuse what it is stored with.</summary>
public sealed class PlainTextTests
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    /// <summary>Any UTF-16 units, with more of those that are dangerous.</summary>
    private static readonly Gen<string> Texts = Gen.OneOf(
        Gen.Char, Gen.Char['\ud800', '\udfff'], Gen.Char['\0', '\u001f'], Gen.Char['\u007f', '\u009f'], Gen.Char['a', 'z']).Array[0, 300]
        .Select(units => new string(units));

    [Theory]
    [InlineData(null, null)]
    [InlineData("", "")]
    [InlineData("Zürich \U0001f600", "Zürich \U0001f600")]
    [InlineData("a\0b", "a\ufffdb")]
    [InlineData("a\r\nb\tc", "a  b c")]
    [InlineData("\u001b[31mred\u007f\u009b", "\ufffd[31mred\ufffd\ufffd")]
    public void Whatever_is_set_becomes_plain(string? text, string? plain) => Assert.Equal(plain, new SendResult { Message = text }.Message);

    /// <summary>In an attribute, the compiler would write them as UTF-8, which can't say them.</summary>
    [Fact]
    public void Half_a_surrogate_pair_is_no_character()
    {
        Assert.Equal("a\ufffd", new SendResult { Message = "a\ud83d" }.Message);
        Assert.Equal("\ufffda", new SendResult { Message = "\ude00a" }.Message);
    }

    [Fact]
    public void A_message_is_always_text_that_a_store_takes() => Texts.Sample(text =>
    {
        var message = (new SendResult() with { Message = text }).Message!;
        return Strict.GetString(Strict.GetBytes(message)) == message && !message.Any(char.IsControl);
    });

    [Fact]
    public void What_is_shortened_ends_with_a_whole_character()
    {
        var end = string.Concat(Enumerable.Repeat("\U0001f600", 150));
        Assert.Equal(end[..200] + "…", SendFailure.Shorten(end));
        Assert.Equal("x" + end[..198] + "…", SendFailure.Shorten("x" + end));
        Assert.Equal(new string('x', 200), SendFailure.Shorten(new string('x', 200)));
    }
}
