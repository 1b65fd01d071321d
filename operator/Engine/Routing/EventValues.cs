using System.Buffers;

namespace WebhookOperator.Engine.Routing;

/// <summary>
/// The values of one event that expressions ask for. The data is read when the first of them asks for it, all
/// the paths at once; an event that no expression looks into costs nothing.
/// </summary>
internal ref struct EventValues(Event @event, DataPaths paths)
{
    private Scalar[]? _data;

    public Scalar Data(int slot)
    {
        if (_data is null)
        {
            _data = ArrayPool<Scalar>.Shared.Rent(paths.Count);
            paths.Read(JsonData(), _data.AsSpan(0, paths.Count));
        }
        return _data[slot];
    }

    /// <summary>The value of a context attribute.</summary>
    public readonly Scalar Attribute(string name)
    {
        switch (name)
        {
            case "specversion": return Scalar.OfText("1.0");
            case "id": return Scalar.OfText(@event.Id);
            case "source": return Scalar.OfText(@event.Source);
            case "type": return Scalar.OfText(@event.Type);
            case "subject": return Scalar.OfText(@event.Subject);
            case "time": return Scalar.OfText(@event.Time);
            case "datacontenttype": return Scalar.OfText(@event.DataContentType);
            case "dataschema": return Scalar.OfText(@event.DataSchema);
            default:
                foreach (var extension in @event.Extensions)
                    if (extension.Name == name)
                        return Scalar.OfText(extension.Value);
                return Scalar.Absent;
        }
    }

    public readonly void Dispose()
    {
        if (_data is not null)
            ArrayPool<Scalar>.Shared.Return(_data, clearArray: true);
    }

    private readonly ReadOnlySpan<byte> JsonData() =>
        @event.DataIsBase64 || @event.Encoding == EventEncoding.Binary && !MediaType.IsJson(@event.DataContentType)
            ? default
            : @event.Body.Span[@event.DataRange];
}
