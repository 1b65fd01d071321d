using CsCheck;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Tests.Engine.Delivery;

public sealed class TokenBucketTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_burst_goes_at_once_and_the_next_waits_its_share()
    {
        var bucket = new TokenBucket(new RateLimitPolicy(10, TimeSpan.FromSeconds(1), 3), Start, full: true);
        for (var i = 0; i < 3; i++)
            Assert.True(bucket.TryTake(Start, out _));
        Assert.False(bucket.TryTake(Start, out var wait));
        Assert.Equal(TimeSpan.FromMilliseconds(100), wait);
        Assert.True(bucket.TryTake(Start + wait, out _));
    }

    [Fact]
    public void One_that_is_taken_over_gives_no_second_burst()
    {
        var bucket = new TokenBucket(new RateLimitPolicy(10, TimeSpan.FromSeconds(1), 3), Start, full: false);
        Assert.True(bucket.TryTake(Start, out _));
        Assert.False(bucket.TryTake(Start, out var wait));
        Assert.Equal(TimeSpan.FromMilliseconds(100), wait);
    }

    [Fact]
    public void A_returned_token_can_be_taken_again()
    {
        var bucket = new TokenBucket(new RateLimitPolicy(1, TimeSpan.FromHours(1), 1), Start, full: true);
        Assert.True(bucket.TryTake(Start, out _));
        bucket.Return();
        Assert.True(bucket.TryTake(Start, out _));
        Assert.False(bucket.TryTake(Start, out _));
    }

    [Fact]
    public void Whatever_the_times_of_asking_no_more_goes_than_burst_and_rate_allow() =>
        Gen.Select(Gen.Int[1, 1000], Gen.Int[1, 3600], Gen.Int[1, 100], Gen.Int[0, 100_000].Array[1, 300])
            .Sample((requests, perSeconds, burst, gaps) =>
            {
                var per = TimeSpan.FromSeconds(perSeconds);
                var bucket = new TokenBucket(new RateLimitPolicy(requests, per, burst), Start, full: true);
                var now = Start;
                var taken = 0;
                foreach (var gap in gaps)
                {
                    now += TimeSpan.FromMicroseconds(gap);
                    if (bucket.TryTake(now, out var wait))
                        taken++;
                    else
                        Assert.True(wait > TimeSpan.Zero);
                }
                Assert.True(taken <= burst + requests * ((now - Start) / per) + 1e-6);
            });
}
