using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Delivery;

public sealed class JudgeTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly RetryPolicy Policy = new() { JitterPercent = 0, Schedule = [TimeSpan.FromSeconds(10)] };

    [Theory]
    [InlineData(200)]
    [InlineData(202)]
    [InlineData(204)]
    [InlineData(299)]
    public void Any_2xx_is_delivered(int status) =>
        Assert.Equal(VerdictKind.Delivered, Decide(Answer(status)).Kind);

    [Fact]
    public void Gone_disables() => Assert.Equal(VerdictKind.Gone, Decide(Answer(410)).Kind);

    [Fact]
    public void Gone_disables_also_at_the_end_of_the_schedule() =>
        Assert.Equal(VerdictKind.Gone, Decide(Answer(410), step: 2).Kind);

    [Theory]
    [InlineData(300)]
    [InlineData(302)]
    [InlineData(400)]
    [InlineData(401)]
    [InlineData(404)]
    [InlineData(422)]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(502)]
    [InlineData(503)]
    [InlineData(504)]
    [InlineData(599)]
    public void Any_other_answer_is_retried_and_dies_with_the_schedule(int status)
    {
        Assert.Equal(new Verdict(VerdictKind.RetryAt, Now.AddSeconds(10)), Decide(Answer(status)));
        Assert.Equal(VerdictKind.Dead, Decide(Answer(status), step: 2).Kind);
    }

    [Theory]
    [InlineData(ErrorClass.Timeout)]
    [InlineData(ErrorClass.ConnectionRefused)]
    [InlineData(ErrorClass.ConnectionFailed)]
    [InlineData(ErrorClass.Dns)]
    [InlineData(ErrorClass.Tls)]
    [InlineData(ErrorClass.AddressBlocked)]
    [InlineData(ErrorClass.OAuth2)]
    [InlineData(ErrorClass.Payload)]
    [InlineData(ErrorClass.Internal)]
    internal void No_answer_is_retried(ErrorClass error) =>
        Assert.Equal(VerdictKind.RetryAt, Decide(new SendResult { Error = error }).Kind);

    [Theory]
    [InlineData(429, true)]
    [InlineData(502, true)]
    [InlineData(503, true)]
    [InlineData(504, true)]
    [InlineData(500, false)]
    [InlineData(404, false)]
    public void Retry_After_counts_where_it_has_a_meaning(int status, bool honoured)
    {
        var verdict = Decide(Answer(status) with { RetryAfter = TimeSpan.FromMinutes(2) });
        Assert.Equal(honoured ? Now.AddMinutes(2) : Now.AddSeconds(10), verdict.RetryTime);
    }

    [Fact]
    public void Without_a_request_the_delivery_is_parked() =>
        Assert.Equal(VerdictKind.Parked, Judge.Decide(null, Policy, 1, Now, Now, 0.5).Kind);

    [Theory]
    [InlineData(200, false)]
    [InlineData(302, false)]
    [InlineData(400, false)]
    [InlineData(404, false)]
    [InlineData(429, true)]
    [InlineData(500, true)]
    [InlineData(503, true)]
    public void What_speaks_of_the_receivers_health_counts_for_the_breaker(int status, bool counts) =>
        Assert.Equal(counts, Judge.CountsForBreaker(Answer(status)));

    [Theory]
    [InlineData(ErrorClass.Timeout, true)]
    [InlineData(ErrorClass.ConnectionRefused, true)]
    [InlineData(ErrorClass.Dns, true)]
    [InlineData(ErrorClass.Tls, true)]
    [InlineData(ErrorClass.Payload, false)]
    [InlineData(ErrorClass.Internal, false)]
    internal void So_does_a_receiver_that_cannot_be_reached(ErrorClass error, bool counts) =>
        Assert.Equal(counts, Judge.CountsForBreaker(new SendResult { Error = error }));

    private static Verdict Decide(SendResult result, int step = 1) => Judge.Decide(result, Policy, step, Now, Now, 0.5);

    private static SendResult Answer(int status) => new()
    {
        StatusCode = status,
        Error = status is >= 200 and < 300 ? ErrorClass.None : ErrorClass.HttpStatus,
    };
}
