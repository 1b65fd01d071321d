using CsCheck;
using WebhookOperator.Api;

namespace WebhookOperator.Tests.Api;

public sealed class KubeDurationTests
{
    [Theory]
    [InlineData("500ms", 500)]
    [InlineData("1s", 1_000)]
    [InlineData("90s", 90_000)]
    [InlineData("1h30m", 5_400_000)]
    [InlineData("1m1h", 3_660_000)]
    [InlineData("1s1s", 2_000)]
    [InlineData("0s", 0)]
    [InlineData("999999h", 3_599_996_400_000)]
    public void Text_is_read_as_Go_reads_it(string text, long milliseconds)
    {
        Assert.True(KubeDuration.TryParse(text, out var duration));
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), duration);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("s")]
    [InlineData("-5s")]
    [InlineData("1.5s")]
    [InlineData("1 s")]
    [InlineData("1s\n")]
    [InlineData("1d")]
    [InlineData("1S")]
    [InlineData("1000000h")]
    [InlineData("١s")]
    public void Anything_else_is_refused(string? text)
    {
        Assert.False(KubeDuration.TryParse(text, out _));
        Assert.Throws<FormatException>(() => KubeDuration.Parse(text));
    }

    [Fact]
    public void What_is_written_reads_back() =>
        Gen.Long[0, 359_999_999_999].Sample(milliseconds =>
        {
            var duration = TimeSpan.FromMilliseconds(milliseconds);
            Assert.Equal(duration, KubeDuration.Parse(KubeDuration.Format(duration)));
        });

    [Fact]
    public void The_shortest_form_is_written()
    {
        Assert.Equal("0s", KubeDuration.Format(TimeSpan.Zero));
        Assert.Equal("15s", KubeDuration.Format(TimeSpan.FromSeconds(15)));
        Assert.Equal("1h30m", KubeDuration.Format(TimeSpan.FromMinutes(90)));
        Assert.Equal("96h", KubeDuration.Format(TimeSpan.FromDays(4)));
        Assert.Equal("1s500ms", KubeDuration.Format(TimeSpan.FromMilliseconds(1500)));
    }
}
