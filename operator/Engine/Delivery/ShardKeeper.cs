using System.Collections.Concurrent;
using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// Sees that this process delivers for its share of the shards, and for no shard that another delivers for. Every member
/// counts those that are alive and aims at an equal part: who has more releases, once nothing is under way in a shard, and
/// who has less takes what is free. To run once every subscription that exists has been upserted.
/// </summary>
internal sealed class ShardKeeper(
    ISharedStore store, Dispatcher dispatcher, Func<string, bool> serves, TimeSpan grace, Instruments instruments, TimeProvider time,
    Func<double> random, ILogger logger)
{
    /// <summary>How long a death goes unnoticed at most; what is released is told by a hint.</summary>
    private static readonly TimeSpan Beat = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan JoinAgain = TimeSpan.FromMilliseconds(500);

    /// <summary>Hints may be lost; this finds what they were about.</summary>
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(2);
    private const int PollsPerCount = 30;

    /// <summary>Larger backlogs are not counted anew: being off by a few means nothing there.</summary>
    private const int CountLimit = 10_000;

    /// <summary>Shards that are handed over at once, so that a new member does not stop half of all deliveries at a time.</summary>
    private const int MostLeaving = 64;

    private readonly HashSet<int> _owned = [];
    private readonly HashSet<int> _leaving = [];

    /// <summary>At rest, with the claim under which they were owned: it may have been lost meanwhile, and the shard taken anew.</summary>
    private readonly ConcurrentQueue<(long Claim, int Shard)> _left = new();
    private readonly HashSet<long> _claims = [];
    private readonly Signal _wake = new();
    private readonly Signal _poll = new();

    /// <summary>Runs until cancelled, and then leaves: each shard goes as soon as nothing is under way in it, all within the grace.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var others = Task.WhenAll(
            store.ListenAsync(Heard, _poll.Set, stop.Token),
            PollAsync(stop.Token));
        try
        {
            await KeepAsync(cancellation);
        }
        finally
        {
            await stop.CancelAsync();
            await others.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        cancellation.ThrowIfCancellationRequested();
    }

    private async Task KeepAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                await using var session = await store.JoinAsync(new HashSet<long>(_claims), cancellation);
                if (await KeepAsync(session, cancellation))
                    return;
            }
            catch (StoreUnavailableException e)
            {
                logger.StoreRetry(JoinAgain.TotalSeconds, e.Message);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
            }
            catch (Exception e)
            {
                logger.LoopFault("Keeping shards", e);
            }
            await _wake.WaitAsync(JoinAgain, time, cancellation);
        }
    }

    /// <returns>True once everything was left in order; false if the session was lost.</returns>
    private async Task<bool> KeepAsync(IShardSession session, CancellationToken cancellation)
    {
        _claims.Add(session.Claim);
        logger.Joined(session.Claim);
        try
        {
            while (!cancellation.IsCancellationRequested)
            {
                await BalanceAsync(session, cancellation);
                await _wake.WaitAsync(Beat, time, cancellation);
            }
            await LeaveAsync(session);
            return true;
        }
        catch (Exception e)
        {
            // Before the session ends, and others can take over. What is under way ends by itself, and is recorded if nobody
            // has taken over by then.
            _ = dispatcher.LeaveAsync([.. _owned], LeaveReason.Lost);
            logger.ShardsLost(_owned.Count, e.Message);
            _owned.Clear();
            _leaving.Clear();
            instruments.ShardsOwned.Set(0);
            if (e is not StoreUnavailableException)
                throw;
            return false;
        }
    }

    private async Task BalanceAsync(IShardSession session, CancellationToken cancellation)
    {
        // 1. Who is there?
        var own = dispatcher.OwnPending;
        var members = await session.BeatAsync(own);
        dispatcher.PendingElsewhere = members.Pending - own;
        var target = (Shard.Count + members.Members - 1) / members.Members;

        // 2. What has come to rest is let go of.
        await ReleaseLeftAsync(session);

        // 3. More than its share: begin to leave some. Less: take what nobody has.
        var kept = _owned.Count - _leaving.Count;
        if (kept > target)
        {
            foreach (var shard in Shuffled(_owned.Except(_leaving)).Take(Math.Min(kept - target, MostLeaving - _leaving.Count)))
            {
                _leaving.Add(shard);
                _ = LeaveAsync(session.Claim, shard, LeaveReason.HandOver);
            }
        }
        else if (kept < target)
        {
            var taken = await session.TakeAsync(Shuffled(Enumerable.Range(0, Shard.Count).Except(_owned)), target - kept);
            if (taken.Length > 0)
                await GainAsync(session, taken, cancellation);
        }
        instruments.ShardsOwned.Set(_owned.Count - _leaving.Count);
    }

    private async Task GainAsync(IShardSession session, ImmutableArray<int> taken, CancellationToken cancellation)
    {
        try
        {
            // A large backlog takes a while to read, and that the session is lost must be seen meanwhile too.
            var reading = store.ReadBacklogsAsync(taken, cancellation);
            while (await Task.WhenAny(reading, Task.Delay(Beat, time, CancellationToken.None)) != reading)
                await session.BeatAsync(dispatcher.OwnPending);
            dispatcher.Gain(taken, await reading, session.Claim);
        }
        catch (Exception e) when (e is StoreUnavailableException or OperationCanceledException)
        {
            // Those that are owned already need not be given up for it.
            if (e is StoreUnavailableException)
                logger.StoreRetry(Beat.TotalSeconds, e.Message);
            await session.ReleaseAsync(taken);
            return;
        }
        _owned.UnionWith(taken);
        _poll.Set();
    }

    private async Task LeaveAsync(long claim, int shard, LeaveReason reason)
    {
        await dispatcher.LeaveAsync([shard], reason);
        _left.Enqueue((claim, shard));
        _wake.Set();
    }

    private async Task ReleaseLeftAsync(IShardSession session)
    {
        var left = new List<int>();
        while (_left.TryDequeue(out var one))
            if (one.Claim == session.Claim)
                left.Add(one.Shard);
        if (left.Count == 0)
            return;
        await session.ReleaseAsync(left);
        _owned.ExceptWith(left);
        _leaving.ExceptWith(left);
        store.Tell(Hint.ShardsReleased);
    }

    /// <summary>All shards, each as soon as it can; requests that outlast the grace are broken off, and stay pending.</summary>
    private async Task LeaveAsync(IShardSession session)
    {
        // One slow request must not make all the others wait for who goes on.
        await session.RetireAsync();
        foreach (var shard in _owned.Except(_leaving).ToArray())
        {
            _leaving.Add(shard);
            _ = LeaveAsync(session.Claim, shard, LeaveReason.Shutdown);
        }
        var started = time.GetTimestamp();
        var cut = false;
        while (_owned.Count > 0)
        {
            var left = grace - time.GetElapsedTime(started);
            if (left <= TimeSpan.Zero && !cut)
            {
                cut = true;
                dispatcher.Cancel();
            }
            await _wake.WaitAsync(cut || left > Beat ? Beat : left, time, CancellationToken.None);
            await ReleaseLeftAsync(session);
        }
        instruments.ShardsOwned.Set(0);
    }

    private void Heard(Hint hint)
    {
        if (hint == Hint.ShardsReleased)
            _wake.Set();
        else
            dispatcher.Hinted(hint);
    }

    private async Task PollAsync(CancellationToken cancellation)
    {
        IReadOnlyCollection<string> doubtful = [];
        for (var round = 1; ; round++)
        {
            await _poll.WaitAsync(Poll, time, cancellation);
            cancellation.ThrowIfCancellationRequested();
            try
            {
                var shards = dispatcher.Shards;
                if (shards.Count == 0)
                    continue;
                dispatcher.Polled(await store.FindDueAsync(shards, time.GetUtcNow(), cancellation), serves);
                var uncounted = round % PollsPerCount == 0 ? dispatcher.Uids : doubtful;
                if (uncounted.Count > 0)
                    doubtful = dispatcher.Counted(await store.CountPendingAsync(uncounted, CountLimit, cancellation));
            }
            catch (StoreUnavailableException e)
            {
                logger.StoreRetry(Poll.TotalSeconds, e.Message);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                logger.LoopFault("Polling", e);
            }
        }
    }

    private List<int> Shuffled(IEnumerable<int> shards) => [.. shards.OrderBy(_ => random())];
}
