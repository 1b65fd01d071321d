using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using YamlDotNet.Serialization;

namespace WebhookOperator.Cli;

/// <summary><c>-o</c>: a table for people, or what the API answered, whole, for programs.</summary>
internal static class OutputFormat
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    // Strings that YAML would take for something else (true, 1.0, null) get quotes.
    private static readonly ISerializer Yaml = new SerializerBuilder().WithQuotingNecessaryStrings(quoteYaml1_1Strings: true).Build();

    public static Option<string> AddTo(Command command, params string[] words)
    {
        var option = new Option<string>("--output", "-o")
        {
            HelpName = string.Join('|', words), Description = "Print what the API answers, instead of a table.",
        };
        option.AcceptOnlyFromAmong(words);
        command.Add(option);
        return option;
    }

    /// <returns>False for a format that is a table.</returns>
    public static bool TryWrite(string? format, JsonNode answer, TextWriter writer)
    {
        switch (format)
        {
            case "json":
                writer.WriteLine(answer.ToJsonString(Indented));
                return true;
            case "yaml":
                writer.Write(Yaml.Serialize(Plain(answer)!));
                return true;
            default:
                return false;
        }
    }

    /// <summary>As dictionaries, lists and scalars, which the YAML serializer knows.</summary>
    private static object? Plain(JsonNode? node) => node switch
    {
        JsonObject o => o.ToDictionary(member => member.Key, member => Plain(member.Value)),
        JsonArray a => a.Select(Plain).ToList(),
        JsonValue v when v.GetValueKind() == JsonValueKind.String => (string?)v,
        JsonValue v when v.TryGetValue<long>(out var whole) => whole,
        JsonValue v when v.GetValueKind() is JsonValueKind.True or JsonValueKind.False => (bool)v,
        JsonValue v => (double)v,
        null => null,
        _ => node.ToJsonString(),
    };
}
