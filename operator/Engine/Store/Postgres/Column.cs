using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>One column of many rows, as an array parameter for <c>unnest</c>.</summary>
internal static class Column
{
    public static NpgsqlParameter Of<TRow, T>(IReadOnlyList<TRow> rows, Func<TRow, T> value)
    {
        var values = new T[rows.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = value(rows[i]);
        return new NpgsqlParameter<T[]> { TypedValue = values };
    }
}
