using CsCheck;
using WebhookOperator.Engine.Delivery;

namespace WebhookOperator.Tests.Engine.Delivery;

public sealed class RollingHourTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Nothing_seen_is_nothing_said()
    {
        var hour = new RollingHour();
        Assert.Null(hour.SuccessRatioPercent(Start));
        Assert.Null(hour.LatencyMilliseconds(Start, 0.5));
    }

    [Fact]
    public void An_hour_later_it_is_forgotten()
    {
        var hour = new RollingHour();
        hour.AddFailure(Start);
        hour.AddSuccess(Start.AddMinutes(30), TimeSpan.FromMilliseconds(5));
        Assert.Equal(50, hour.SuccessRatioPercent(Start.AddMinutes(31)));
        Assert.Equal(100, hour.SuccessRatioPercent(Start.AddMinutes(61)));
        Assert.Null(hour.SuccessRatioPercent(Start.AddMinutes(95)));
    }

    [Fact]
    public void A_quantile_is_never_below_the_true_one_and_at_most_a_quarter_above() =>
        Gen.Select(Gen.Int[0, 2_000_000].Array[1, 200], Gen.Double[0.01, 1.0]).Sample((latencies, quantile) =>
        {
            var hour = new RollingHour();
            foreach (var ms in latencies)
                hour.AddSuccess(Start, TimeSpan.FromMilliseconds(ms));
            var truth = latencies.Order().ElementAt((int)Math.Ceiling(quantile * latencies.Length) - 1);
            Assert.InRange(hour.LatencyMilliseconds(Start, quantile)!.Value, truth, truth * 1.25 + 1);
        });
}
