using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// A row of <c>accepted</c>: deliveries that this process sends as soon as they are stored. Most end within moments, and so
/// cost less in one row than each in one of <c>pending</c>. Any process may spread a row into <c>pending</c> at any time; what
/// is kept here only tells how to end a delivery with the least effort.
/// </summary>
/// <param name="id">That of its first delivery.</param>
/// <param name="claim">Of the member that sends them.</param>
internal sealed class AcceptedRow(long id, long claim)
{
    /// <summary>More would not fit into a page, and be stored apart from it.</summary>
    private const int MaxDeliveries = 200;

    private readonly Lock _gate = new();
    private readonly HashSet<long> _open = [];
    private int _assigned;
    private int _left;
    private volatile bool _spread;

    public long Id => id;

    public long Claim => claim;

    /// <summary>It is known to be there no more.</summary>
    public bool IsSpread
    {
        get => _spread;
        set => _spread = value;
    }

    /// <summary>Gives it one more delivery to be stored, before it is stored itself.</summary>
    /// <returns>False where it is that of another member, or full.</returns>
    public bool TryAssign(long member) => member == claim && _assigned++ < MaxDeliveries;

    /// <summary>This delivery is stored in it.</summary>
    public void Add(long delivery)
    {
        lock (_gate)
        {
            _open.Add(delivery);
            _left++;
        }
    }

    /// <summary>Whether the delivery can be ended here. The answer is yes only once: of what failed, it is not known whether it was done.</summary>
    public bool TryEnd(long delivery)
    {
        if (_spread)
            return false;
        lock (_gate)
            return _open.Remove(delivery);
    }

    /// <summary>The end of a delivery is committed.</summary>
    /// <returns>Whether all have ended, and nobody needs the row any more.</returns>
    public bool Ended()
    {
        lock (_gate)
            return --_left == 0;
    }
}

/// <summary>The end of a delivery that is, as far as is known, still in its row.</summary>
/// <param name="Operation">Records it.</param>
/// <param name="Row">Where it is.</param>
/// <param name="Subscription">The key of its subscription.</param>
internal readonly record struct AcceptedEnd(SettleOperation Operation, AcceptedRow Row, int Subscription)
{
    public Settlement Settlement => Operation.Settlement;

    public long Id => Settlement.Id.Value;
}

/// <summary>
/// Puts what has not ended of rows of <c>accepted</c> into <c>pending</c>, where all others look. Waits for ends that are being
/// committed.
/// </summary>
internal static class Accepted
{
    /// <summary>What is still there after so long has a slow receiver, or no lane ever heard of it.</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(5);

    private const string Spread = "SELECT spread_accepted(array_agg(a.id)) FROM accepted a WHERE";

    public const string RowsSql = "SELECT spread_accepted($1)";

    public const string AllSql = $"{Spread} a.id > 0";

    /// <summary>With ids below $1.</summary>
    public const string BeforeSql = $"{Spread} a.id < $1";

    /// <summary>Those of the member $1.</summary>
    public const string OfMemberSql = $"{Spread} a.id > 0 AND a.member = $1";

    /// <summary>Those of the subscription with the uid $1, and with ids below $2.</summary>
    public const string OfSubscriptionSql = $"{Spread} a.id < $2 AND {StoreReader.Key} = ANY (a.subscriptions)";

    /// <summary>Those of the subscription with the uid $1, due by $2 and not in $3.</summary>
    public const string DueSql = $"""
        {Spread} a.id > 0 AND {StoreReader.Key} = ANY (a.subscriptions) AND EXISTS (
          SELECT FROM (SELECT unnest(a.ids) AS id, unnest(a.subscriptions) AS subscription, unnest(a.times) AS due) AS d
          WHERE d.subscription = {StoreReader.Key} AND d.due <= $2 AND (d.id IN (SELECT unnest($3))) IS NOT TRUE)
        """;

    /// <summary>Those with deliveries in $1.</summary>
    public const string DeliveriesSql = $"{Spread} a.id <= (SELECT max(d.id) FROM unnest($1) AS d (id)) AND a.ids && $1";

    public static async Task SpreadAsync(NpgsqlConnection session, string sql, CancellationToken cancellation, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, session);
        command.Parameters.AddRange(parameters);
        await command.ExecuteNonQueryAsync(cancellation);
    }
}
