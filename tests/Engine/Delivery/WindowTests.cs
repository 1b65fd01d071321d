using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Delivery;

public sealed class WindowTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly WindowBudget _budget = new(1 << 20);
    private readonly Window _window;

    public WindowTests() => _window = new Window(_budget);

    [Fact]
    public void What_a_read_saw_before_it_was_offered_is_started_once_whatever_became_of_it_meanwhile()
    {
        var (held, settled, retried) = (Delivery(1), Delivery(2), Delivery(3));
        Read(held, settled, retried);
        for (var i = 0; i < 3; i++)
            _window.Dequeue();
        _window.Settled(settled, null);
        _window.Settled(retried, Now.AddMinutes(1));

        foreach (var delivery in (PendingDelivery[])[held, settled, retried])
            _window.Offer(delivery, 100);

        Assert.Equal((0, 1), (_window.Ready, _window.Held));
    }

    [Fact]
    public void What_a_read_has_brought_is_not_held_twice_however_late_it_is_offered()
    {
        _window.BeginRead(Now);
        _window.EndRead(new DueDeliveries([Delivery(1)], More: false, null), Now.AddHours(1));
        _window.Offer(Delivery(1), 100);

        Assert.Equal((1, 1), (_window.Ready, _window.Held));
    }

    [Fact]
    public void After_a_read_that_found_all_what_is_stored_comes_from_memory_again()
    {
        Read(Delivery(1));
        _window.Offer(Delivery(1), 100);
        _window.Settled(_window.Dequeue(), null);

        _window.Offer(Delivery(2), 100);

        Assert.Equal((1, (DateTimeOffset?)null), (_window.Ready, _window.NextRead));
    }

    [Fact]
    public void A_burst_is_held_as_long_as_others_have_half_of_the_memory()
    {
        for (var id = 1; id <= 2000; id++)
            _window.Offer(Delivery(id), 100);

        Assert.InRange(_budget.Free, 1 << 19, (1 << 19) + 2048);
        Assert.InRange(_window.Ready, 400, 511);
        Assert.Equal(DateTimeOffset.MinValue, _window.NextRead);
    }

    [Fact]
    public void Up_to_its_share_a_window_takes_what_there_is_and_one_delivery_always()
    {
        _budget.Take((1 << 20) - 4096);
        for (var id = 1; id <= 10; id++)
            _window.Offer(Delivery(id), 100);
        Assert.Equal(3, _window.Held);

        var other = new Window(_budget);
        other.Offer(Delivery(11), 100);
        other.Offer(Delivery(12), 100);
        Assert.Equal(1, other.Held);
    }

    [Fact]
    public void What_is_offered_is_taken_while_it_is_in_doubt_whether_all_that_is_due_is_held()
    {
        _window.Offer(Delivery(1), 100);
        _window.Doubt();

        _window.Offer(Delivery(2), 100);
        Assert.Equal((2, DateTimeOffset.MinValue, true), (_window.Ready, _window.NextRead, _window.InDoubt));

        Assert.Equal(DateTimeOffset.MinValue, BeginRead(0));
        EndRead(more: false, Delivery(3));
        Assert.Equal((3, (DateTimeOffset?)null), (_window.Ready, _window.NextRead));
    }

    [Fact]
    public void A_read_in_doubt_that_finds_more_than_there_is_room_for_leaves_what_is_offered_to_further_reads()
    {
        _window.Doubt();
        BeginRead(0);
        EndRead(more: true, Delivery(1));

        _window.Offer(Delivery(2), 100);
        _window.Doubt();

        Assert.Equal((1, DateTimeOffset.MinValue, false), (_window.Ready, _window.NextRead, _window.InDoubt));
    }

    [Fact]
    public void What_is_offered_while_older_ones_are_read_has_its_turn_after_them()
    {
        _window.LookAgain();
        BeginRead(0);
        _window.Offer(Delivery(2), 100);
        _window.Offer(Delivery(3), 100);
        Assert.Equal((0, 2), (_window.Ready, _window.Held));

        EndRead(more: false, Delivery(1), Delivery(2));

        Assert.Equal([1, 2, 3], DequeueAll());
        Assert.Null(_window.NextRead);
    }

    [Theory]
    [InlineData("more")]
    [InlineData("failed")]
    [InlineData("dropped")]
    [InlineData("returned")]
    public void What_is_offered_while_older_ones_are_read_is_left_to_further_reads_unless_that_was_all(string what)
    {
        Read(Delivery(1));
        var first = _window.Dequeue();
        var free = _budget.Free;
        _window.LookAgain();
        BeginRead(0);
        _window.Offer(Delivery(9), 100);
        if (what == "returned")
            _window.Return(first, Now);
        if (what == "dropped")
            _window.Drop();

        if (what == "failed")
            _window.FailRead(Now);
        else
            EndRead(what == "more");

        Assert.Equal((0, what == "returned" ? 0 : 1), (_window.Ready, _window.Held));
        Assert.True(_budget.Free >= free, "What is not held takes no memory.");
        Assert.NotNull(_window.NextRead);
    }

    [Fact]
    public void A_backlog_is_read_on_from_where_the_last_read_ended_and_as_a_whole_now_and_then()
    {
        Assert.Equal(DateTimeOffset.MinValue, BeginRead(0));
        EndRead(more: true, Delivery(1), Delivery(2, Now.AddMinutes(-2)));
        Assert.Equal(Now.AddMinutes(-2), BeginRead(0.1));
        // What is as young as that may be followed by what was accepted before it.
        EndRead(more: true, Delivery(3, Now));
        Assert.Equal(Now.AddSeconds(-0.9), BeginRead(0.2));
        EndRead(more: true, Delivery(4, Now.AddMinutes(-1)));
        Assert.Equal(DateTimeOffset.MinValue, BeginRead(2));
        EndRead(more: true, Delivery(5, Now.AddMinutes(-1)));

        Assert.Equal(Now.AddMinutes(-1), BeginRead(2.1));
        EndRead(more: false, Delivery(6));
        Assert.Equal(DateTimeOffset.MinValue, _window.NextRead);
        Assert.Equal(DateTimeOffset.MinValue, BeginRead(2.2));
        EndRead(more: false);
        Assert.Null(_window.NextRead);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_goes_back_to_the_store_is_read_again_however_early_it_was_due(bool duringRead)
    {
        BeginRead(0);
        EndRead(more: true, Delivery(1, Now.AddMinutes(-3)), Delivery(2, Now.AddMinutes(-2)));
        var first = _window.Dequeue();
        if (duringRead)
            BeginRead(0.1);
        _window.Return(first, Now.AddSeconds(0.2));
        if (duringRead)
            EndRead(more: true, Delivery(3, Now.AddMinutes(-1)));

        Assert.Equal(DateTimeOffset.MinValue, BeginRead(0.2));
        EndRead(more: true, Delivery(1, Now.AddMinutes(-3)));
        Assert.Equal(Now.AddMinutes(-3), BeginRead(0.3));
        EndRead(more: true, Delivery(4, Now.AddMinutes(-1)));
        _window.Drop();
        Assert.Equal(DateTimeOffset.MinValue, BeginRead(0.4));
    }

    private IEnumerable<long> DequeueAll()
    {
        while (_window.Ready > 0)
            yield return _window.Dequeue().Id.Value;
    }

    private DateTimeOffset BeginRead(double seconds) => _window.BeginRead(Now.AddSeconds(seconds));

    private void EndRead(bool more, params PendingDelivery[] found) => _window.EndRead(new DueDeliveries([.. found], more, null), Now);

    private void Read(params PendingDelivery[] found)
    {
        _window.BeginRead(Now);
        _window.EndRead(new DueDeliveries([.. found], More: false, null), Now);
    }

    private static PendingDelivery Delivery(long id, DateTimeOffset? due = null) => new()
    {
        Id = new DeliveryId(id),
        SubscriptionUid = "uid",
        Event = new StoredEvent(new EventId(id), "acme", Now, new Event
        {
            Id = $"{id}", Source = "/test", Type = "test", Encoding = EventEncoding.Binary, Body = new byte[2],
        }),
        Attempts = 0,
        Step = 0,
        StartedTime = Now,
        DueTime = due ?? Now,
        Version = 1,
    };
}
