using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// The due deliveries of one subscription that are in memory, and what is known of those that are not. The
/// store holds them all; each is in memory at most once, from when it is added until it is settled or
/// returned. Not thread-safe: the lane calls it under its lock.
/// </summary>
internal sealed class Window(WindowBudget budget)
{
    /// <summary>The most that wait to be started, where memory is to spare.</summary>
    private const int Largest = 64 * 1024;

    /// <summary>About what a delivery takes beside its body.</summary>
    public const int Overhead = 1024;

    /// <summary>From when an event is accepted until it may be offered, at the very most: a read may have seen what comes later.</summary>
    public static readonly TimeSpan OfferDelay = TimeSpan.FromSeconds(30);

    /// <summary>While the store has more, it is read from the beginning only once in so long.</summary>
    private static readonly TimeSpan WholeReadInterval = TimeSpan.FromSeconds(2);

    /// <summary>
    /// What was accepted before what has been read may be committed so much later, and is found at once all the same; and
    /// what was accepted longer ago than this should have been offered.
    /// </summary>
    public static readonly TimeSpan Stragglers = TimeSpan.FromSeconds(1);

    private readonly Queue<PendingDelivery> _ready = new();

    /// <summary>Offered while what is older was being read; after that, their turn comes.</summary>
    private readonly List<PendingDelivery> _late = [];

    /// <summary>Ready, late or under way: not to be read again.</summary>
    private readonly HashSet<DeliveryId> _held = [];

    /// <summary>Settled while a read is under way, whose snapshot of the store may still show them as pending.</summary>
    private readonly HashSet<DeliveryId> _settledDuringRead = [];

    /// <summary>The store has, or may have, due deliveries that are not held.</summary>
    private bool _more;

    /// <summary>The store has due deliveries, and whether all of them are held must be looked up.</summary>
    private bool _doubt;

    /// <summary>When the next delivery that is not held becomes due, as far as is known.</summary>
    private DateTimeOffset? _nextDue;
    private DateTimeOffset _readNotBefore = DateTimeOffset.MinValue;

    /// <summary>
    /// Where the next read begins, so that it does not pass again by all that is held, and by the remains of what has
    /// ended. What is stored before it comes with the next read of the whole.
    /// </summary>
    private DateTimeOffset _readFrom = DateTimeOffset.MinValue;
    private DateTimeOffset _nextWholeRead;

    /// <summary>Where and when the last read began.</summary>
    private (DateTimeOffset From, DateTimeOffset Now) _read;

    /// <summary>The read under way is of what the store was known to have, and so older than what is offered meanwhile.</summary>
    private bool _catchingUp;

    /// <summary>Something from before where the read under way began is not held any more.</summary>
    private bool _wentBack;

    /// <summary>
    /// Read before they were offered: a read that runs beside a commit may see what it stored first, and then it may
    /// even be settled by the time of the offer. Null while there are none, as in most lanes.
    /// </summary>
    private RecentIds? _readFirst;

    /// <summary>How many wait to be started.</summary>
    public int Ready => _ready.Count;

    /// <summary>How many are ready, late or under way.</summary>
    public int Held => _held.Count;

    /// <summary>When the oldest of them was accepted; null if there are none.</summary>
    public DateTimeOffset? OldestHeld => _held.Count == 0 ? null : TimeOrderedId.TimeOf(_held.Min().Value);

    public bool Reading { get; private set; }

    /// <summary>What is offered next will be started as soon as what waits has been.</summary>
    public bool IsOpen => !_more && !_catchingUp;

    /// <summary>A copy, for a call to the store.</summary>
    public HashSet<DeliveryId> HeldIds => [.. _held];

    /// <summary>Takes on a delivery that was just stored, where there is room and nothing older waits in the store.</summary>
    /// <param name="delivery">Not held yet.</param>
    /// <param name="share">With so many waiting, only what others can spare is room: a burst need not be read again from the store.</param>
    public void Offer(PendingDelivery delivery, int share)
    {
        if (_readFirst?.Remove(delivery.Id) == true || _held.Contains(delivery.Id))
            return;
        if (_more || !TryTakeBudget(SizeOf(delivery), share))
        {
            _more = true;
            return;
        }
        _held.Add(delivery.Id);
        if (_catchingUp)
            _late.Add(delivery);
        else
            _ready.Enqueue(delivery);
    }

    /// <summary>The next to start; it stays held.</summary>
    public PendingDelivery Dequeue() => _ready.Dequeue();

    /// <summary>The outcome is durable: the delivery has ended, or comes again at <paramref name="due"/>.</summary>
    public void Settled(PendingDelivery delivery, DateTimeOffset? due)
    {
        Forget(delivery);
        if (Reading)
            _settledDuringRead.Add(delivery.Id);
        Expect(due);
    }

    /// <summary>A delivery in the store becomes due then; null for none.</summary>
    public void Expect(DateTimeOffset? due) => _nextDue = Earlier(_nextDue, due);

    /// <summary>Not sent: it is read again from the store, after a pause.</summary>
    public void Return(PendingDelivery delivery, DateTimeOffset notBefore)
    {
        Forget(delivery);
        GoBack();
        _readNotBefore = notBefore;
    }

    /// <summary>The store may have due deliveries that this window does not know of.</summary>
    public void LookAgain() => _more = true;

    /// <summary>
    /// The store has due deliveries, which may well be those that are held. Until a read has shown otherwise, what is offered
    /// is still taken: under load there is always something due, and all that was refused would have to be read.
    /// </summary>
    public void Doubt() => _doubt = true;

    /// <summary>Whether a read is worth while even if enough is held. What the store is known to have can wait until there is room.</summary>
    public bool InDoubt => _doubt && !_more;

    /// <summary>When a read is worth while: now or earlier, later, or null for never as far as is known.</summary>
    public DateTimeOffset? NextRead => _more || _doubt ? _readNotBefore : _nextDue > _readNotBefore ? _nextDue : _nextDue is null ? null : _readNotBefore;

    /// <summary>Lets go of everything that was not started.</summary>
    public void Drop()
    {
        if (_ready.Count + _late.Count > 0)
            GoBack();
        while (_ready.TryDequeue(out var delivery))
            Forget(delivery);
        TakeLate();
    }

    /// <returns>Since when what is read has been due.</returns>
    public DateTimeOffset BeginRead(DateTimeOffset now)
    {
        if (now >= _nextWholeRead)
            _readFrom = DateTimeOffset.MinValue;
        if (_readFrom == DateTimeOffset.MinValue)
            _nextWholeRead = now + WholeReadInterval;
        _read = (_readFrom, now);
        Reading = true;
        _catchingUp = _more;
        _more = _doubt = _wentBack = false;
        _nextDue = null;
        return _readFrom;
    }

    public void EndRead(DueDeliveries read, DateTimeOffset now)
    {
        _readFirst = _readFirst?.Since(now - OfferDelay);
        var late = TakeLate();
        foreach (var delivery in read.Deliveries)
        {
            if (_settledDuringRead.Contains(delivery.Id) || !Add(delivery))
                continue;
            if (delivery.Attempts == 0 && delivery.StartedTime > now - OfferDelay)
                (_readFirst ??= new RecentIds()).Add(delivery.Id, now);
        }
        // While the store still has older ones, the next reads bring these too.
        if (!read.More && !_wentBack)
        {
            foreach (var delivery in late)
                Add(delivery);
        }
        // Only a read of the whole tells that there is no more.
        _more |= read.More || _read.From > DateTimeOffset.MinValue;
        if (!_wentBack)
        {
            _readFrom = read is { More: true, Deliveries: [.., var last] }
                ? Earlier(last.DueTime, _read.Now - Stragglers)!.Value
                : DateTimeOffset.MinValue;
        }
        Expect(read.NextDueTime);
        EndRead();
    }

    public void FailRead(DateTimeOffset notBefore)
    {
        TakeLate();
        _more = true;
        _readNotBefore = notBefore;
        EndRead();
    }

    private void EndRead()
    {
        Reading = _catchingUp = false;
        _settledDuringRead.Clear();
    }

    /// <summary>Holds what is in memory already, whatever room there is.</summary>
    /// <returns>False where it was held.</returns>
    private bool Add(PendingDelivery delivery)
    {
        if (!_held.Add(delivery.Id))
            return false;
        budget.Take(SizeOf(delivery));
        _ready.Enqueue(delivery);
        return true;
    }

    /// <summary>They are not held any more, unless they are added again.</summary>
    private PendingDelivery[] TakeLate()
    {
        PendingDelivery[] late = [.. _late];
        _late.Clear();
        foreach (var delivery in late)
            Forget(delivery);
        return late;
    }

    private void GoBack()
    {
        _more = _wentBack = true;
        _readFrom = DateTimeOffset.MinValue;
    }

    private bool TryTakeBudget(long size, int share)
    {
        var waiting = _ready.Count + _late.Count;
        if (waiting >= share)
            return waiting < Largest && budget.TryTakeSpare(size);
        if (_held.Count > 0)
            return budget.TryTake(size);
        budget.Take(size);
        return true;
    }

    private static long SizeOf(PendingDelivery delivery) => delivery.Event.Event.Body.Length + Overhead;

    private void Forget(PendingDelivery delivery)
    {
        if (_held.Remove(delivery.Id))
            budget.Release(SizeOf(delivery));
    }

    private static DateTimeOffset? Earlier(DateTimeOffset? a, DateTimeOffset? b) => a is null || b < a ? b ?? a : a;
}
