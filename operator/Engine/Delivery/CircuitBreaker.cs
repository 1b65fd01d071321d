using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Store;
using CircuitBreakerPolicy = WebhookOperator.Engine.Routing.CircuitBreakerPolicy;

namespace WebhookOperator.Engine.Delivery;

internal enum CircuitPosition { Closed, Open, HalfOpen }

/// <summary>Where a circuit stands: since when, and when an open one lets its probe through.</summary>
internal sealed record CircuitSnapshot(CircuitPosition Position, DateTimeOffset Since, DateTimeOffset? NextProbeTime)
{
    /// <summary>How many probes have failed in a row.</summary>
    public int FailedProbes { get; init; }
}

/// <summary>
/// Polly's circuit breaker around Polly's timeout: a break doubles with each failed probe, a timeout counts as
/// a failure, and the state can be read at any time. Thread-safe.
/// </summary>
internal sealed class CircuitBreaker
{
    private readonly ResiliencePipeline<SendResult> _pipeline;
    private readonly TimeProvider _time;
    private readonly Action<CircuitSnapshot> _changed;
    private readonly SendResult _timedOut;
    private readonly CircuitBreakerPolicy _policy;
    private CircuitSnapshot _snapshot;
    private int _failedProbes;

    /// <summary>The circuit that another process left open, until a probe has succeeded; Polly's own is closed meanwhile.</summary>
    private BrokenCircuit? _inherited;
    private int _probing;

    /// <param name="policy">When to open, and for how long.</param>
    /// <param name="timeout">For one whole request.</param>
    /// <param name="time">Polly's clock too.</param>
    /// <param name="changed">Called on each change of position, from within <see cref="ExecuteAsync"/>.</param>
    /// <param name="closedSince">The circuit begins closed, since then.</param>
    /// <param name="inherited">The circuit begins open instead, as it was left.</param>
    public CircuitBreaker(
        CircuitBreakerPolicy policy, TimeSpan timeout, TimeProvider time, Action<CircuitSnapshot> changed, DateTimeOffset closedSince,
        BrokenCircuit? inherited = null)
    {
        _policy = policy;
        _time = time;
        _changed = changed;
        _inherited = inherited;
        _snapshot = inherited is null
            ? new CircuitSnapshot(CircuitPosition.Closed, closedSince, null)
            : new CircuitSnapshot(CircuitPosition.Open, inherited.Since, inherited.NextProbeTime) { FailedProbes = inherited.FailedProbes };
        _pipeline = new ResiliencePipelineBuilder<SendResult> { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<SendResult>
            {
                FailureRatio = policy.FailureRatioPercent / 100.0,
                MinimumThroughput = policy.MinimumThroughput,
                SamplingDuration = policy.SamplingWindow,
                BreakDurationGenerator = args =>
                {
                    _failedProbes = args.HalfOpenAttempts;
                    return ValueTask.FromResult(BreakAfter(policy, args.HalfOpenAttempts));
                },
                ShouldHandle = static args => ValueTask.FromResult(
                    args.Outcome is { Exception: TimeoutRejectedException }
                    || args.Outcome is { Result: { } result } && Judge.CountsForBreaker(result)),
                OnOpened = args => Move(CircuitPosition.Open, args.BreakDuration),
                OnHalfOpened = _ => Move(CircuitPosition.HalfOpen, null),
                OnClosed = _ => Move(CircuitPosition.Closed, null),
            })
            .AddTimeout(timeout)
            .Build();
        _timedOut = new SendResult
        {
            Error = ErrorClass.Timeout,
            Message = $"The receiver did not answer within {timeout.TotalSeconds:0.###} s.",
        };
    }

    public CircuitSnapshot Snapshot => Volatile.Read(ref _snapshot);

    /// <summary>Runs the request, or returns null without running it while the circuit is open.</summary>
    public ValueTask<SendResult?> ExecuteAsync<TState>(
        Func<TState, CancellationToken, ValueTask<SendResult>> request, TState state, CancellationToken cancellation) =>
        Volatile.Read(ref _inherited) is { } inherited
            ? ProbeAsync(inherited, request, state, cancellation)
            : RunAsync(request, state, cancellation);

    /// <summary>One request alone decides whether the circuit that was taken over closes.</summary>
    private async ValueTask<SendResult?> ProbeAsync<TState>(
        BrokenCircuit inherited, Func<TState, CancellationToken, ValueTask<SendResult>> request, TState state, CancellationToken cancellation)
    {
        if (_time.GetUtcNow() < inherited.NextProbeTime || Interlocked.CompareExchange(ref _probing, 1, 0) != 0)
            return null;
        try
        {
            await Move(CircuitPosition.HalfOpen, null);
            var result = await RunAsync(request, state, cancellation);
            if (result is not null && Judge.CountsForBreaker(result))
            {
                _failedProbes = inherited.FailedProbes + 1;
                var duration = BreakAfter(_policy, _failedProbes);
                var now = _time.GetUtcNow();
                Volatile.Write(ref _inherited, new BrokenCircuit(now, now + duration, _failedProbes));
                await Move(CircuitPosition.Open, duration);
            }
            else
            {
                Volatile.Write(ref _inherited, null);
                await Move(CircuitPosition.Closed, null);
            }
            return result;
        }
        finally
        {
            Volatile.Write(ref _probing, 0);
        }
    }

    private async ValueTask<SendResult?> RunAsync<TState>(
        Func<TState, CancellationToken, ValueTask<SendResult>> request, TState state, CancellationToken cancellation)
    {
        try
        {
            return await _pipeline.ExecuteAsync(request, state, cancellation);
        }
        catch (BrokenCircuitException)
        {
            return null;
        }
        catch (TimeoutRejectedException)
        {
            return _timedOut;
        }
    }

    /// <summary>The break after so many failed probes in a row: the first, doubled each time, up to the longest.</summary>
    internal static TimeSpan BreakAfter(CircuitBreakerPolicy policy, int failedProbes)
    {
        var doubled = policy.BreakDuration * Math.Pow(2, Math.Min(failedProbes, 30));
        return doubled < policy.MaxBreakDuration ? doubled : policy.MaxBreakDuration;
    }

    private ValueTask Move(CircuitPosition position, TimeSpan? breakDuration)
    {
        var now = _time.GetUtcNow();
        var snapshot = new CircuitSnapshot(position, now, breakDuration is { } length ? now + length : null)
        {
            FailedProbes = position == CircuitPosition.Open ? _failedProbes : 0,
        };
        Volatile.Write(ref _snapshot, snapshot);
        _changed(snapshot);
        return ValueTask.CompletedTask;
    }
}
