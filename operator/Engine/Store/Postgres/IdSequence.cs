using Npgsql;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// Draws ids that no other process draws: their last bits are this process's number, so that its ids are
/// <see cref="Step"/> apart. Thread-safe.
/// </summary>
/// <param name="writer">0 to 1,023.</param>
/// <param name="largest">The largest id in the store; all that are drawn are larger.</param>
internal sealed class IdSequence(int writer, long largest)
{
    public const int Step = 1024;

    private readonly Lock _gate = new();
    private int _writer = writer;
    private long _last = largest;

    /// <summary>The first of so many ids, each <see cref="Step"/> after the one before, all of one day.</summary>
    public long Take(DateTimeOffset accepted, int count)
    {
        lock (_gate)
        {
            var first = Math.Max(At(TimeOrderedId.Floor(accepted)), At((_last | (Step - 1)) + 1));
            if (Day.Of(first) is var day && Day.Of(Nth(first, count - 1)) != day)
                first = At(day.Next.FirstId);
            _last = Nth(first, count - 1);
            return first;
        }
    }

    /// <summary>Another process has drawn the same ids: it has the same number.</summary>
    public void ChangeWriter(int writer)
    {
        lock (_gate)
            _writer = writer;
    }

    public static long Nth(long first, int index) => first + ((long)Step * index);

    private long At(long floor) => floor | (uint)_writer;
}

/// <summary>Where a process finds what its ids begin with.</summary>
internal static class IdSource
{
    /// <summary>Ids larger than all that are in the store, also where this process's clock is behind.</summary>
    public static async Task<IdSequence> OpenAsync(NpgsqlConnection session, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(
            "SELECT greatest((SELECT max(id) FROM event), (SELECT max(id) FROM pending), (SELECT max(id) FROM delivery), "
            + "(SELECT max(d.id) FROM accepted a, unnest(a.ids) AS d (id)), 0)", session);
        var largest = (long)(await command.ExecuteScalarAsync(cancellation))!;
        return new IdSequence(await DrawWriterAsync(session, cancellation), largest);
    }

    public static async Task<int> DrawWriterAsync(NpgsqlConnection session, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("SELECT nextval('writer')::int", session);
        return (int)(await command.ExecuteScalarAsync(cancellation))!;
    }
}
