using System.CommandLine;
using System.Globalization;

namespace WebhookOperator.Cli;

/// <summary>A whole number within bounds; the fault names them.</summary>
internal static class NumberOption
{
    /// <param name="name">With its dashes.</param>
    /// <param name="placeholder">What the help shows for the value.</param>
    /// <param name="description">For the help.</param>
    /// <param name="least">Smallest that is accepted.</param>
    /// <param name="most">Largest that is accepted.</param>
    /// <param name="standard">Null: none, and then 0 is read where the option was not given.</param>
    public static Option<int> Create(string name, string placeholder, string description, int least, int most, int? standard)
    {
        var option = new Option<int>(name)
        {
            HelpName = placeholder,
            Description = description,
            CustomParser = result =>
            {
                var text = result.Tokens is [var token] ? token.Value : "";
                if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most)
                    return number;
                result.AddError(string.Create(
                    CultureInfo.InvariantCulture, $"{name}: \"{text}\" must be a whole number from {least} to {most}."));
                return least;
            },
        };
        if (standard is { } value)
            option.DefaultValueFactory = _ => value;
        return option;
    }
}
