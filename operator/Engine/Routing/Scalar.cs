using System.Globalization;

namespace WebhookOperator.Engine.Routing;

internal enum ScalarKind
{
    /// <summary>Not there, or JSON null.</summary>
    Absent,
    Text,
    Number,

    /// <summary>JSON true or false.</summary>
    Boolean,

    /// <summary>A JSON object or array, or a string that is not Unicode: it exists, and no comparison with it holds.</summary>
    Composite,
}

/// <summary>A value of an event that an expression looks at.</summary>
internal readonly record struct Scalar(ScalarKind Kind, string Text)
{
    public static readonly Scalar Absent;
    public static readonly Scalar Composite = new(ScalarKind.Composite, "");

    /// <summary>The value of a <see cref="ScalarKind.Number"/>, read once for all who compare; null if it is beyond a double.</summary>
    public NumberValue? Number { get; private init; }

    public static Scalar OfNumber(string text) => new(ScalarKind.Number, text) { Number = NumberValue.Parse(text) };

    public static Scalar OfText(string? text) => text is null ? Absent : new Scalar(ScalarKind.Text, text);
}

/// <summary>A number as people write it, compared by value: exactly where it fits a decimal, else as a double.</summary>
internal readonly record struct NumberValue
{
    private readonly decimal? _exact;
    private readonly double _approximate;

    private NumberValue(decimal? exact, double approximate)
    {
        _exact = exact;
        _approximate = approximate;
    }

    public static NumberValue? Parse(string text)
    {
        if (decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var exact) && (exact != 0 || IsZero(text)))
            return new NumberValue(exact, (double)exact);
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var approximate) && double.IsFinite(approximate)
            ? new NumberValue(null, approximate)
            : null;
    }

    public static int Compare(NumberValue a, NumberValue b) => a._exact is { } x && b._exact is { } y
        ? x.CompareTo(y)
        : a._approximate.CompareTo(b._approximate);

    public bool Equals(NumberValue other) => Compare(this, other) == 0;

    public override int GetHashCode() => _approximate.GetHashCode();

    /// <summary>False for 1e-40, which a decimal would round to zero.</summary>
    private static bool IsZero(string text) => text.AsSpan().IndexOfAnyInRange('1', '9') is var digit
        && (digit < 0 || text.AsSpan().IndexOfAny('e', 'E') is var exponent && exponent >= 0 && exponent < digit);
}
