using System.Collections.Frozen;

namespace WebhookOperator.Engine.Routing;

/// <summary>One match expression, ready to be asked of many events.</summary>
internal sealed class CompiledExpression
{
    private const string DataPrefix = "data.";

    private readonly string _attribute = "";
    private readonly int _slot = -1;
    private readonly MatchOperator _operator;
    private readonly FrozenSet<string> _texts;
    private readonly NumberValue[] _numbers;

    /// <param name="expression">Valid, as the CRD's rules say.</param>
    /// <param name="paths">Where paths into the data get their slots.</param>
    public CompiledExpression(MatchExpression expression, DataPaths paths)
    {
        if (expression.Key.StartsWith(DataPrefix, StringComparison.Ordinal))
            _slot = paths.Add(expression.Key[DataPrefix.Length..]);
        else
            _attribute = expression.Key;
        _operator = expression.Operator;
        _texts = expression.Values.ToFrozenSet(StringComparer.Ordinal);
        _numbers = [.. expression.Values.Select(NumberValue.Parse).OfType<NumberValue>()];
    }

    /// <summary>True if the event's data must be read to answer.</summary>
    public bool LooksIntoData => _slot >= 0;

    public Scalar ValueOf(ref EventValues values) => _slot >= 0 ? values.Data(_slot) : values.Attribute(_attribute);

    /// <summary>
    /// Where the key is absent, NotIn and DoesNotExist hold and nothing else does. Texts compare by their
    /// characters, JSON numbers by value, true and false by those words; an object or array only exists.
    /// </summary>
    public bool Holds(ref EventValues values)
    {
        var value = ValueOf(ref values);
        return _operator switch
        {
            MatchOperator.In => IsIn(value),
            MatchOperator.NotIn => !IsIn(value),
            MatchOperator.Exists => value.Kind != ScalarKind.Absent,
            MatchOperator.DoesNotExist => value.Kind == ScalarKind.Absent,
            MatchOperator.Gt => Compare(value) > 0,
            MatchOperator.Gte => Compare(value) >= 0,
            MatchOperator.Lt => Compare(value) < 0,
            MatchOperator.Lte => Compare(value) <= 0,
            MatchOperator.Prefix => value.Kind == ScalarKind.Text && AnyText(value.Text, static (text, prefix) => text.StartsWith(prefix, StringComparison.Ordinal)),
            MatchOperator.Suffix => value.Kind == ScalarKind.Text && AnyText(value.Text, static (text, suffix) => text.EndsWith(suffix, StringComparison.Ordinal)),
            _ => throw new InvalidOperationException($"The operator {_operator} is not known."),
        };
    }

    private bool IsIn(Scalar value) => value.Kind switch
    {
        ScalarKind.Text or ScalarKind.Boolean => _texts.Contains(value.Text),
        ScalarKind.Number => value.Number is { } number && Array.IndexOf(_numbers, number) >= 0,
        _ => false,
    };

    /// <summary>A text that reads as a number counts as one, since attributes are always text. Null: not comparable.</summary>
    private int? Compare(Scalar value)
    {
        var read = value.Kind == ScalarKind.Text ? NumberValue.Parse(value.Text) : value.Number;
        return read is { } number && _numbers.Length > 0 ? NumberValue.Compare(number, _numbers[0]) : null;
    }

    private bool AnyText(string text, Func<string, string, bool> holds)
    {
        foreach (var candidate in _texts)
            if (holds(text, candidate))
                return true;
        return false;
    }
}
