using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Api.Schema;

/// <summary>Finds the place of a field in the text, for faults that were found on the typed object.</summary>
internal static class FieldLocator
{
    /// <summary>
    /// The finding for a fault, placed at the field's value, or at the nearest field around it where the
    /// document leaves it out.
    /// </summary>
    public static Finding Locate(YamlMappingNode document, string field, string message)
    {
        YamlNode node = document;
        var at = document.Start;
        foreach (var step in field.Replace("[", ".[", StringComparison.Ordinal).Split('.', StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, next) = Step(node, step);
            if (next is null)
                break;
            node = next;
            at = next is YamlScalarNode ? next.Start : name;
        }
        return new Finding((int)at.Line, (int)at.Column, field, message);
    }

    private static (Mark Name, YamlNode? Value) Step(YamlNode node, string step)
    {
        if (node is YamlSequenceNode sequence && step is ['[', .., ']']
            && int.TryParse(step.AsSpan()[1..^1], CultureInfo.InvariantCulture, out var index)
            && index < sequence.Children.Count)
            return (sequence.Children[index].Start, sequence.Children[index]);
        if (node is YamlMappingNode mapping)
            foreach (var (key, value) in mapping.Children)
                if (key is YamlScalarNode scalar && scalar.Value == step)
                    return (key.Start, value);
        return (default, null);
    }
}
