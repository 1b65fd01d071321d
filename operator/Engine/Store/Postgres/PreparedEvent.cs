using Npgsql;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>An event with everything computed that its rows need.</summary>
internal sealed class PreparedEvent
{
    /// <summary>Twice as much as a row with its index entries takes beside the body.</summary>
    private const int RowBytes = 1024;

    private const int DeliveryBytes = 256;

    public PreparedEvent(NewEvent source)
    {
        Source = source;
        Dedupe = DedupeKey.Of(source.Namespace, source.Event.Source, source.Event.Id);
        Attributes = EventColumns.FormatAttributes(source.Event);
        (DataStart, DataLength) = source.Event.DataRange.GetOffsetAndLength(source.Event.Body.Length);
    }

    public NewEvent Source { get; }

    /// <summary>Tells one event from all others.</summary>
    public byte[] Dedupe { get; }

    public byte[]? Attributes { get; }

    public int DataStart { get; }

    public int DataLength { get; }

    public long Bytes => RowBytes + Source.Event.Body.Length + ((long)DeliveryBytes * Source.Matches.Count);

    /// <summary>0 until drawn; the deliveries' follow in steps of <see cref="IdSequence.Step"/>.</summary>
    public long Id { get; private set; }

    /// <summary>For each match, where its delivery is stored with others, or null for a row of <c>pending</c>; null for no such row at all.</summary>
    public AcceptedRow?[]? Rows { get; private set; }

    /// <summary>Draws the ids and decides where the deliveries are stored, unless that was done before.</summary>
    /// <param name="ids">Where from.</param>
    /// <param name="claimOf">As <see cref="ISharedStore.ClaimOf"/>.</param>
    /// <param name="row">With room left; replaced where it is full.</param>
    public void Prepare(IdSequence ids, Func<string, long> claimOf, ref AcceptedRow? row)
    {
        if (Id != 0)
            return;
        Id = ids.Take(Source.AcceptedTime, 1 + Source.Matches.Count);
        Rows = null;
        for (var i = 0; i < Source.Matches.Count; i++)
        {
            if (claimOf(Source.Matches[i].Uid) is not (not 0 and var claim))
                continue;
            if (row is null || !row.TryAssign(claim))
            {
                row = new AcceptedRow(DeliveryId(i), claim);
                row.TryAssign(claim);
            }
            (Rows ??= new AcceptedRow?[Source.Matches.Count])[i] = row;
        }
    }

    /// <summary>It is not stored in one commit with those that it shares rows with.</summary>
    public void LeaveRows() => Rows = null;

    /// <summary>Its ids were taken already, and nothing of it is stored.</summary>
    public void Forget() => Id = 0;

    public long DeliveryId(int match) => IdSequence.Nth(Id, match + 1);

    /// <summary>Reads namespace, source, ce_id, type, encoding, attributes, data_start, data_length, data_base64, body.</summary>
    public static StoredEvent Read(NpgsqlDataReader row, int column, long id)
    {
        var start = row.GetInt32(column + 6);
        var @event = new Event
        {
            Source = row.GetString(column + 1),
            Id = row.GetString(column + 2),
            Type = row.GetString(column + 3),
            Encoding = (EventEncoding)row.GetInt16(column + 4),
            Body = row.GetFieldValue<byte[]>(column + 9),
            DataRange = start..(start + row.GetInt32(column + 7)),
            DataIsBase64 = row.GetBoolean(column + 8),
        };
        if (!row.IsDBNull(column + 5))
            @event = EventColumns.ReadAttributes(@event, row.GetFieldValue<byte[]>(column + 5));
        return new StoredEvent(new EventId(id), row.GetString(column), TimeOrderedId.TimeOf(id), @event);
    }
}
