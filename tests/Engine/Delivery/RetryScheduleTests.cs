using CsCheck;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Tests.Engine.Delivery;

public sealed class RetryScheduleTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly RetryPolicy NoJitter = new() { JitterPercent = 0 };

    [Fact]
    public void The_default_schedule_is_that_of_Standard_Webhooks()
    {
        var waits = new List<TimeSpan>();
        var now = Start;
        for (var step = 1; RetrySchedule.Next(NoJitter, step, Start, now, null, 0.5) is { } due; step++)
        {
            waits.Add(due - now);
            now = due;
        }
        Assert.Equal(
            [
                TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(30), TimeSpan.FromHours(2),
                TimeSpan.FromHours(5), TimeSpan.FromHours(10), TimeSpan.FromHours(14), TimeSpan.FromHours(20), TimeSpan.FromHours(24),
            ],
            waits);
    }

    [Fact]
    public void The_default_schedule_ends_before_the_default_age_even_with_the_longest_jitter()
    {
        var policy = new RetryPolicy();
        var now = Start;
        var steps = 0;
        while (RetrySchedule.Next(policy, steps + 1, Start, now, null, 0.999999) is { } due)
        {
            now = due;
            steps++;
        }
        Assert.Equal(policy.Schedule.Length, steps);
    }

    [Fact]
    public void A_delivery_dies_where_the_next_attempt_would_come_after_maxAge()
    {
        var policy = NoJitter with { Schedule = [TimeSpan.FromHours(1)], MaxAge = TimeSpan.FromMinutes(90) };
        Assert.NotNull(RetrySchedule.Next(policy, 1, Start, Start.AddMinutes(30), null, 0));
        Assert.Null(RetrySchedule.Next(policy, 1, Start, Start.AddMinutes(31), null, 0));
    }

    [Theory]
    [InlineData(1, 5)] // Shorter than the schedule's wait: not sooner.
    [InlineData(60, 60)]
    [InlineData(25 * 3600, 24 * 3600)]
    public void Retry_After_lengthens_the_wait_up_to_a_day(int askedSeconds, int expectedSeconds)
    {
        var due = RetrySchedule.Next(NoJitter, 1, Start, Start, TimeSpan.FromSeconds(askedSeconds), 0.5);
        Assert.Equal(TimeSpan.FromSeconds(expectedSeconds), due - Start);
    }

    [Fact]
    public void Any_wait_lies_within_the_jitter_of_its_entry_and_any_run_ends() =>
        Gen.Select(
                Gen.Int[1, 7 * 24 * 3600].Array[0, 50], Gen.Int[0, 100], Gen.Double[0, 0.9999], Gen.Int[1, 1000])
            .Sample((seconds, jitter, random, maxAgeHours) =>
            {
                var policy = new RetryPolicy
                {
                    Schedule = [.. seconds.Select(s => TimeSpan.FromSeconds(s))],
                    JitterPercent = jitter,
                    MaxAge = TimeSpan.FromHours(maxAgeHours),
                };
                var now = Start;
                var step = 1;
                for (; RetrySchedule.Next(policy, step, Start, now, null, random) is { } due; step++)
                {
                    var wait = policy.Schedule[step - 1];
                    Assert.InRange(due - now, wait * (1 - jitter / 100.0) - TimeSpan.FromTicks(1), wait * (1 + jitter / 100.0) + TimeSpan.FromTicks(1));
                    Assert.True(due <= Start + policy.MaxAge);
                    now = due;
                }
                Assert.True(step <= policy.Schedule.Length + 1);
            });
}
