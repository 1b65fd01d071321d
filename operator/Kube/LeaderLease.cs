using System.Net;
using k8s;
using k8s.Models;

namespace WebhookOperator.Kube;

/// <summary>How long leadership lasts without a sign of life, and how often one is given.</summary>
/// <param name="Duration">After so long without a change of the Lease, others may take it.</param>
/// <param name="RenewDeadline">After so long without a renewal that succeeded, this process no longer leads: well before others may.</param>
/// <param name="Retry">From one attempt to the next, +20 % at random.</param>
internal sealed record LeaseTimings(TimeSpan Duration, TimeSpan RenewDeadline, TimeSpan Retry)
{
    /// <summary>As the control plane of Kubernetes itself.</summary>
    public static readonly LeaseTimings Default = new(TimeSpan.FromSeconds(15), TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(2));
}

/// <summary>
/// Leadership among processes, through a Lease of coordination.k8s.io/v1. At most one leads at any time as long as
/// every process's clock runs at about the same speed; what the clocks show does not matter. For any thread.
/// </summary>
/// <remarks>
/// Leadership ends by the clock, before any request: a process that was paused and wakes up late finds
/// <see cref="IsLeader"/> false at once. No fault ends the campaign. KubeOps' <c>LeaderElectionType.Single</c>, whose
/// elector is KubernetesClient's: that one ends with any exception and takes its own word for how late it is.
/// </remarks>
internal sealed partial class LeaderLease : IDisposable
{
    private static readonly KubeResource Leases = new("coordination.k8s.io", "v1", "leases", "Lease");

    private readonly ApiCalls _api;
    private readonly ObjectName _name;
    private readonly string _identity;
    private readonly TimeProvider _time;
    private readonly Func<double> _random;
    private readonly ILogger _logger;
    private readonly LeaseTimings _timings;
    private readonly SemaphoreSlim _attempt = new(1);
    private readonly ITimer _deadline;
    private readonly Lock _gate = new();

    private TaskCompletionSource _acquired = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenSource? _term;

    /// <summary>When the request was sent that last renewed it, by the monotonic clock.</summary>
    private long _renewed;

    /// <summary>The Lease as last seen, and when it was first seen so, by the monotonic clock.</summary>
    private V1Lease? _seen;
    private long _seenSince;
    private bool _released;
    private volatile string? _fault;

    /// <param name="identity">Of this process alone; a restart is another.</param>
    /// <param name="random">Evenly from 0 to 1.</param>
    public LeaderLease(
        IKubernetes client, string @namespace, string name, string identity, TimeProvider time, Func<double> random, ILogger logger,
        LeaseTimings? timings = null)
    {
        _api = new ApiCalls(client, time);
        _name = new ObjectName(@namespace, name);
        _identity = identity;
        _time = time;
        _random = random;
        _logger = logger;
        _timings = timings ?? LeaseTimings.Default;
        _deadline = time.CreateTimer(_ => EndIfOverdue(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>
    /// Whether this process leads now. To be asked right before each write that only a leader may make; the
    /// write must be over within 5 s, the difference between deadline and duration.
    /// </summary>
    public bool IsLeader
    {
        get
        {
            lock (_gate)
                return _term is not null && InTime;
        }
    }

    /// <summary>Cancelled when the present term of leadership ends; one that is cancelled already if there is none.</summary>
    public CancellationToken Token
    {
        get
        {
            lock (_gate)
                return _term is not null && InTime ? _term.Token : new CancellationToken(canceled: true);
        }
    }

    /// <summary>Who leads, as last seen; null if nobody or not known.</summary>
    public string? Holder
    {
        get
        {
            lock (_gate)
                return _seen?.Spec?.HolderIdentity is { Length: > 0 } holder ? holder : null;
        }
    }

    /// <summary>Why the last attempt to take or renew the Lease failed; null if it did not.</summary>
    public string? Fault => _fault;

    private bool InTime => _time.GetElapsedTime(_renewed) <= _timings.RenewDeadline;

    /// <summary>Waits for leadership, and returns the token of its term.</summary>
    public async Task<CancellationToken> AcquiredAsync(CancellationToken cancellation)
    {
        while (true)
        {
            Task acquired;
            lock (_gate)
            {
                if (_term is not null && InTime)
                    return _term.Token;
                acquired = _acquired.Task;
            }
            await acquired.WaitAsync(cancellation);
        }
    }

    /// <summary>Takes the Lease when it is free and renews it, until cancelled. Call once. Leadership lasts on for a while.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await _attempt.WaitAsync(cancellation);
            try
            {
                if (!_released)
                    await AttemptAsync(cancellation);
            }
            finally
            {
                _attempt.Release();
            }
            await Task.Delay(_timings.Retry * (1 + 0.2 * _random()), _time, cancellation);
        }
    }

    /// <summary>
    /// Ends leadership, and clears the Lease so that another takes over at once. Never throws for a fault of the API
    /// server: the Lease then runs out by itself. Call when whatever needs leadership has stopped.
    /// </summary>
    public async Task ReleaseAsync(CancellationToken cancellation)
    {
        await _attempt.WaitAsync(cancellation);
        try
        {
            _released = true;
            if (!EndTerm() || _seen is not { } seen || seen.Spec.HolderIdentity != _identity)
                return;
            try
            {
                await PutAsync(seen, "", 1, cancellation);
            }
            catch (KubeApiException e) when (e.Status == HttpStatusCode.Conflict)
            {
                // A renewal that was broken off has arrived all the same.
                if (See(await GetAsync(cancellation)) is not { } now || now.Spec.HolderIdentity != _identity)
                    return;
                await PutAsync(now, "", 1, cancellation);
            }
            Released(_name);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            NotReleased(_name, Describe(e, "update"), _timings.Duration.TotalSeconds);
        }
        finally
        {
            _attempt.Release();
        }
    }

    public void Dispose()
    {
        EndTerm();
        _deadline.Dispose();
        _attempt.Dispose();
    }

    /// <summary>One look at the Lease, and what follows from it.</summary>
    private async Task AttemptAsync(CancellationToken cancellation)
    {
        var verb = "get";
        try
        {
            // 1. Who holds it. Its holder knows, and finds out by the write if that is wrong.
            var lease = _seen is { } seen && IsLeader ? seen : See(await GetAsync(cancellation));

            // 2. Whether it is free: by our own clock, since that of its holder may show anything.
            var holder = lease?.Spec?.HolderIdentity;
            if (!string.IsNullOrEmpty(holder) && holder != _identity)
            {
                EndTerm();
                var lasts = TimeSpan.FromSeconds(lease!.Spec.LeaseDurationSeconds ?? (int)_timings.Duration.TotalSeconds);
                if (_time.GetElapsedTime(_seenSince) < lasts)
                {
                    _fault = null;
                    return;
                }
            }

            // 3. Take or renew it, if nobody has changed it since it was read.
            verb = lease is null ? "create" : "update";
            var start = _time.GetTimestamp();
            See(lease is null ? await CreateAsync(cancellation) : await PutAsync(lease, _identity, Seconds(_timings.Duration), cancellation));
            Renewed(start);
            _fault = null;
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.Conflict)
        {
            // Another one was faster, or our own write whose answer was lost: read it the next time.
            lock (_gate)
                _seen = null;
            await LookAgainAsync(cancellation);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            var fault = $"leadership by {Leases} {_name}: {Describe(e, verb)}";
            if (_fault != fault)
                Failed(fault);
            _fault = fault;
        }
        EndIfOverdue();
    }

    private async Task LookAgainAsync(CancellationToken cancellation)
    {
        try
        {
            if (See(await GetAsync(cancellation))?.Spec?.HolderIdentity != _identity)
                EndTerm();
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            _fault = $"leadership by {Leases} {_name}: {Describe(e, "get")}";
        }
    }

    private async Task<V1Lease?> GetAsync(CancellationToken cancellation)
    {
        try
        {
            return await SendAsync(HttpMethod.Get, Leases.Path(_name), null, cancellation);
        }
        catch (KubeApiException e) when (e.Status == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    private Task<V1Lease> CreateAsync(CancellationToken cancellation)
    {
        var now = MicroTime.Now(_time);
        return SendAsync(HttpMethod.Post, Leases.Path(_name.Namespace), new V1Lease
        {
            ApiVersion = Leases.ApiVersion,
            Kind = Leases.Kind,
            Metadata = new V1ObjectMeta { Name = _name.Name, NamespaceProperty = _name.Namespace },
            Spec = new V1LeaseSpec
            {
                HolderIdentity = _identity,
                LeaseDurationSeconds = Seconds(_timings.Duration),
                AcquireTime = now,
                RenewTime = now,
                LeaseTransitions = 0,
            },
        }, cancellation);
    }

    /// <summary>Refused with 409 unless the Lease still is as it was read: its resourceVersion goes with it.</summary>
    private Task<V1Lease> PutAsync(V1Lease lease, string holder, int seconds, CancellationToken cancellation)
    {
        var now = MicroTime.Now(_time);
        var before = lease.Spec ?? new V1LeaseSpec();
        var same = before.HolderIdentity == holder;
        return SendAsync(HttpMethod.Put, Leases.Path(_name), new V1Lease
        {
            ApiVersion = Leases.ApiVersion,
            Kind = Leases.Kind,
            Metadata = lease.Metadata,
            Spec = new V1LeaseSpec
            {
                HolderIdentity = holder,
                LeaseDurationSeconds = seconds,
                AcquireTime = same ? before.AcquireTime : now,
                RenewTime = now,
                LeaseTransitions = (before.LeaseTransitions ?? 0) + (same || holder.Length == 0 ? 0 : 1),
            },
        }, cancellation);
    }

    private Task<V1Lease> SendAsync(HttpMethod method, string path, V1Lease? lease, CancellationToken cancellation) =>
        // Half the deadline, so that one that hangs leaves time for another.
        _api.SendAsync<V1Lease>(
            method, path, lease is null ? null : KubeJson.Write(lease), ApiCalls.Json, _timings.RenewDeadline / 2, cancellation);

    private V1Lease? See(V1Lease? lease)
    {
        string? before, after;
        lock (_gate)
        {
            before = _seen?.Spec?.HolderIdentity;
            after = lease?.Spec?.HolderIdentity;
            if (_seen is null || lease is null || _seen.Metadata.ResourceVersion != lease.Metadata.ResourceVersion)
                _seenSince = _time.GetTimestamp();
            _seen = lease;
        }
        if (!string.IsNullOrEmpty(after) && after != before && after != _identity)
            HeldBy(_name, after);
        return lease;
    }

    private void Renewed(long start)
    {
        // A term that was overdue is over, also if the Lease was still ours: in between, nothing may have been written.
        EndIfOverdue();
        var acquired = false;
        lock (_gate)
        {
            _renewed = start;
            if (!InTime)
                return;
            if (_term is null)
            {
                acquired = true;
                _term = new CancellationTokenSource();
                _acquired.TrySetResult();
            }
            _deadline.Change(_timings.RenewDeadline - _time.GetElapsedTime(start) + TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
        }
        if (acquired)
            Acquired(_identity, _name);
    }

    private void EndIfOverdue()
    {
        lock (_gate)
        {
            if (_term is null || InTime)
                return;
        }
        EndTerm();
    }

    /// <returns>Whether there was a term to end.</returns>
    private bool EndTerm()
    {
        CancellationTokenSource? term;
        lock (_gate)
        {
            (term, _term) = (_term, null);
            if (term is null)
                return false;
            _acquired = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        Ended(_identity, _name);
        term.Cancel();
        term.Dispose();
        return true;
    }

    private string Describe(Exception e, string verb) => ApiFault.Describe(e, _api.Server, Leases, verb, $"does the namespace {_name.Namespace} exist?");

    private static int Seconds(TimeSpan time) => (int)Math.Ceiling(time.TotalSeconds);

    [LoggerMessage(LogLevel.Information, "{Identity} leads from now on (Lease {Lease})")]
    private partial void Acquired(string identity, ObjectName lease);

    [LoggerMessage(LogLevel.Warning, "{Identity} no longer leads (Lease {Lease})")]
    private partial void Ended(string identity, ObjectName lease);

    [LoggerMessage(LogLevel.Information, "Lease {Lease} is held by {Holder}")]
    private partial void HeldBy(ObjectName lease, string holder);

    [LoggerMessage(LogLevel.Information, "Lease {Lease} is released: another takes over at once")]
    private partial void Released(ObjectName lease);

    [LoggerMessage(LogLevel.Warning, "Lease {Lease} could not be released, so others wait {Seconds} s for it: {Why}")]
    private partial void NotReleased(ObjectName lease, string why, double seconds);

    [LoggerMessage(LogLevel.Warning, "{Fault}; trying again")]
    private partial void Failed(string fault);
}
