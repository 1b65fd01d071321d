using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>An event with everything computed that its row needs, so that the writer's thread only binds and steps.</summary>
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

    public byte[] Dedupe { get; }

    /// <summary>A JSON object of the attributes without a column of their own; null if there are none.</summary>
    public byte[]? Attributes { get; }

    public int DataStart { get; }

    public int DataLength { get; }

    public long Bytes => RowBytes + Source.Event.Body.Length + ((long)DeliveryBytes * Source.Matches.Count);

    /// <summary>Reads namespace, source, ce_id, type, encoding, attributes, data_start, data_length, data_base64, body.</summary>
    public static StoredEvent Read(Statement row, int column, long id)
    {
        var start = row.Int32(column + 6);
        var body = row.Bytes(column + 9).ToArray();
        var @event = new Event
        {
            Source = row.Text(column + 1),
            Id = row.Text(column + 2),
            Type = row.Text(column + 3),
            Encoding = (EventEncoding)row.Int32(column + 4),
            Body = body,
            DataRange = start..(start + row.Int32(column + 7)),
            DataIsBase64 = row.Int32(column + 8) != 0,
        };
        if (!row.IsNull(column + 5))
            @event = EventColumns.ReadAttributes(@event, row.Bytes(column + 5));
        return new StoredEvent(new EventId(id), row.Text(column), TimeOrderedId.TimeOf(id), @event);
    }
}
