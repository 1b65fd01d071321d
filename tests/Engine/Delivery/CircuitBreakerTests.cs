using Microsoft.Extensions.Time.Testing;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Delivery;

public sealed class CircuitBreakerTests
{
    private static readonly SendResult Success = new() { StatusCode = 200 };
    private static readonly SendResult Failure = new() { StatusCode = 503, Error = ErrorClass.HttpStatus };
    private static readonly SendResult Refusal = new() { StatusCode = 404, Error = ErrorClass.HttpStatus };

    private static readonly CircuitBreakerPolicy Policy = new()
    {
        MinimumThroughput = 4,
        SamplingWindow = TimeSpan.FromMinutes(1),
        BreakDuration = TimeSpan.FromSeconds(15),
        MaxBreakDuration = TimeSpan.FromSeconds(50),
    };

    private readonly FakeTimeProvider _time = new();
    private readonly List<CircuitPosition> _positions = [];
    private readonly CircuitBreaker _breaker;

    public CircuitBreakerTests() =>
        _breaker = new CircuitBreaker(Policy, TimeSpan.FromSeconds(10), _time, s => _positions.Add(s.Position), _time.GetUtcNow());

    [Fact]
    public async Task It_opens_at_the_ratio_probes_once_and_closes()
    {
        await SendAsync(Success, Success, Failure, Failure);
        Assert.Equal(CircuitPosition.Open, _breaker.Snapshot.Position);
        Assert.Equal(_time.GetUtcNow().AddSeconds(15), _breaker.Snapshot.NextProbeTime);
        Assert.Null(await SendAsync(Success));

        _time.Advance(TimeSpan.FromSeconds(15));
        Assert.Same(Success, await SendAsync(Success));
        Assert.Equal([CircuitPosition.Open, CircuitPosition.HalfOpen, CircuitPosition.Closed], _positions);
    }

    [Fact]
    public async Task Each_failed_probe_doubles_the_break_up_to_the_longest()
    {
        await SendAsync(Failure, Failure, Failure, Failure);
        foreach (var seconds in new[] { 15, 30, 50, 50 })
        {
            Assert.Equal(TimeSpan.FromSeconds(seconds), _breaker.Snapshot.NextProbeTime - _time.GetUtcNow());
            _time.Advance(TimeSpan.FromSeconds(seconds));
            Assert.Same(Failure, await SendAsync(Failure));
        }
    }

    [Fact]
    public async Task Answers_that_judge_the_request_do_not_open_it()
    {
        await SendAsync(Refusal, Refusal, Refusal, Refusal, Refusal, Refusal);
        Assert.Equal(CircuitPosition.Closed, _breaker.Snapshot.Position);
    }

    [Fact]
    public async Task A_timeout_is_a_value_and_opens_it()
    {
        for (var i = 0; i < 4; i++)
        {
            var hanging = _breaker.ExecuteAsync(static async (_, token) =>
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
                return Success;
            }, 0, CancellationToken.None);
            _time.Advance(TimeSpan.FromSeconds(10));
            var result = await hanging;
            Assert.Equal(ErrorClass.Timeout, result?.Error);
            Assert.Contains("10 s", result?.Message);
        }
        Assert.Equal(CircuitPosition.Open, _breaker.Snapshot.Position);
    }

    [Fact]
    public void The_longest_break_holds_however_many_probes_have_failed() =>
        Assert.Equal(Policy.MaxBreakDuration, CircuitBreaker.BreakAfter(Policy, int.MaxValue));

    private async Task<SendResult?> SendAsync(params SendResult[] results)
    {
        SendResult? last = null;
        foreach (var result in results)
            last = await _breaker.ExecuteAsync(static (r, _) => ValueTask.FromResult(r), result, CancellationToken.None);
        return last;
    }
}
