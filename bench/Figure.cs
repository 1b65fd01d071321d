using System.Globalization;

namespace WebhookOperator.Bench;

/// <summary>One line of the table.</summary>
/// <param name="Name">What was measured.</param>
/// <param name="Measured">With its unit.</param>
/// <param name="Limit">What the machine gives at best, measured in the same run; or empty.</param>
/// <param name="Wanted">Empty for a mere fact.</param>
/// <param name="Reached">Null for a mere fact.</param>
internal sealed record Figure(string Name, string Measured, string Limit = "", string Wanted = "", bool? Reached = null)
{
    public static Figure AtLeast(string name, double measured, double wanted, string limit, string unit = "") =>
        new(name, Text(measured, unit), limit, "≥ " + Text(wanted, unit), measured >= wanted);

    public static Figure AtMost(string name, double measured, double wanted, string limit, string unit = "") =>
        new(name, Text(measured, unit), limit, "≤ " + Text(wanted, unit), measured <= wanted);

    /// <summary>Three significant digits, thousands apart.</summary>
    public static string Text(double value, string unit = "")
    {
        var magnitude = Math.Abs(value);
        var number = magnitude switch
        {
            >= 100 => Math.Round(value).ToString("#,0", CultureInfo.InvariantCulture),
            >= 10 => value.ToString("0.#", CultureInfo.InvariantCulture),
            _ => value.ToString("0.##", CultureInfo.InvariantCulture),
        };
        return unit.Length == 0 ? number : $"{number} {unit}";
    }

    /// <summary>From the lowest to the highest.</summary>
    public static string Spread(IReadOnlyCollection<double> values) => $"{Text(values.Min())} to {Text(values.Max())}";
}
