using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Ingest;

/// <summary>Collects attributes, whatever mode they came in, and checks each. The first fault ends it.</summary>
internal struct EventBuilder
{
    private string? _specVersion;
    private string? _id;
    private string? _source;
    private string? _type;
    private string? _subject;
    private string? _time;
    private string? _dataContentType;
    private string? _dataSchema;
    private ImmutableArray<Extension>.Builder? _extensions;

    public EventFault? Fault { get; private set; }

    /// <summary>False, and <see cref="Fault"/> says why, where the attribute is wrong or comes a second time.</summary>
    public bool Set(string name, string value)
    {
        switch (name)
        {
            case "specversion": return SetOnce(ref _specVersion, name, value);
            case "id": return SetOnce(ref _id, name, value);
            case "source": return SetOnce(ref _source, name, value);
            case "type": return SetOnce(ref _type, name, value);
            case "subject": return SetOnce(ref _subject, name, value);
            case "time": return SetOnce(ref _time, name, value);
            case "datacontenttype": return SetOnce(ref _dataContentType, name, value);
            case "dataschema": return SetOnce(ref _dataSchema, name, value);
            default: return AddExtension(name, value);
        }
    }

    public bool Fail(string? field, string message)
    {
        Fault = new EventFault(field, message);
        return false;
    }

    /// <summary>Null, and <see cref="Fault"/> says why, where a required attribute is missing.</summary>
    public Event? Build(EventEncoding encoding, ReadOnlyMemory<byte> body, Range data, bool dataIsBase64)
    {
        var missing = _specVersion is null ? "specversion" : _id is null ? "id" : _source is null ? "source" : _type is null ? "type" : null;
        if (missing is not null)
        {
            Fail(missing, encoding == EventEncoding.Binary
                ? $"The required attribute {missing} is missing; send it as the header ce-{missing}."
                : $"The required attribute {missing} is missing.");
            return null;
        }
        return new Event
        {
            Id = _id!,
            Source = _source!,
            Type = _type!,
            Subject = _subject,
            Time = _time,
            DataContentType = _dataContentType,
            DataSchema = _dataSchema,
            Extensions = _extensions?.ToImmutable() ?? [],
            Encoding = encoding,
            Body = body,
            DataRange = data,
            DataIsBase64 = dataIsBase64,
        };
    }

    private bool SetOnce(ref string? attribute, string name, string value)
    {
        if (attribute is not null)
            return Fail(name, $"{name} is there twice; it must be there once.");
        if (AttributeRules.FaultOf(name, value) is { } fault)
            return Fail(name, fault);
        attribute = value;
        return true;
    }

    private bool AddExtension(string name, string value)
    {
        if ((AttributeRules.FaultOfName(name) ?? AttributeRules.FaultOf(name, value)) is { } fault)
            return Fail(name, fault);
        _extensions ??= ImmutableArray.CreateBuilder<Extension>(4);
        foreach (var extension in _extensions)
            if (extension.Name == name)
                return Fail(name, $"{name} is there twice; it must be there once.");
        if (_extensions.Count == AttributeRules.MostExtensions)
            return Fail(name, $"The event has more than {AttributeRules.MostExtensions} extension attributes.");
        _extensions.Add(new Extension(name, value));
        return true;
    }
}
