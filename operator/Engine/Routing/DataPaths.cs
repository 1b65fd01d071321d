using System.Globalization;
using System.Text;
using System.Text.Json;

namespace WebhookOperator.Engine.Routing;

/// <summary>
/// The places in an event's data that a table's expressions look at, as a tree, so that one pass over the
/// bytes finds them all. Members that repeat count as the last of them.
/// </summary>
internal sealed class DataPaths
{
    private readonly Node _root = new();

    /// <summary>How many places there are; each has a slot from 0.</summary>
    public int Count { get; private set; }

    /// <param name="path">Member names or array indexes, joined by dots.</param>
    /// <returns>The slot of that place, the same for the same path.</returns>
    public int Add(string path)
    {
        var node = _root;
        foreach (var segment in path.Split('.'))
            node = node.ChildOrNew(segment);
        if (node.Slot < 0)
            node.Slot = Count++;
        return node.Slot;
    }

    /// <summary>Fills the slots from JSON; what is not there, or not JSON, stays absent.</summary>
    public void Read(ReadOnlySpan<byte> json, Span<Scalar> slots)
    {
        slots.Clear();
        try
        {
            var reader = new Utf8JsonReader(json);
            if (reader.Read())
                ReadValue(ref reader, _root, slots);
            while (reader.Read())
            {
                // What follows must be nothing, or it is not JSON.
            }
        }
        catch (JsonException)
        {
            slots.Clear();
        }
    }

    private static void ReadValue(ref Utf8JsonReader reader, Node node, Span<Scalar> slots)
    {
        if (node.Slot >= 0)
            slots[node.Slot] = ScalarOf(ref reader);
        if (node.Children.Count == 0)
            reader.Skip();
        else if (reader.TokenType == JsonTokenType.StartObject)
            ReadObject(ref reader, node, slots);
        else if (reader.TokenType == JsonTokenType.StartArray)
            ReadArray(ref reader, node, slots);
    }

    private static void ReadObject(ref Utf8JsonReader reader, Node node, Span<Scalar> slots)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var child = node.Find(ref reader);
            reader.Read();
            if (child is null)
            {
                reader.Skip();
                continue;
            }
            Clear(child, slots);
            ReadValue(ref reader, child, slots);
        }
    }

    private static void ReadArray(ref Utf8JsonReader reader, Node node, Span<Scalar> slots)
    {
        for (var index = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray; index++)
        {
            if (node.FindIndex(index) is { } child)
                ReadValue(ref reader, child, slots);
            else
                reader.Skip();
        }
    }

    private static Scalar ScalarOf(ref Utf8JsonReader reader) => reader.TokenType switch
    {
        JsonTokenType.String => TextOf(ref reader),
        JsonTokenType.Number => Scalar.OfNumber(Encoding.UTF8.GetString(reader.ValueSpan)),
        JsonTokenType.True => new Scalar(ScalarKind.Boolean, "true"),
        JsonTokenType.False => new Scalar(ScalarKind.Boolean, "false"),
        JsonTokenType.Null => Scalar.Absent,
        _ => Scalar.Composite,
    };

    /// <summary>A string that is not Unicode (half a surrogate pair, broken UTF-8) is there, but equals nothing.</summary>
    private static Scalar TextOf(ref Utf8JsonReader reader)
    {
        try
        {
            return new Scalar(ScalarKind.Text, reader.GetString()!);
        }
        catch (InvalidOperationException)
        {
            return Scalar.Composite;
        }
    }

    private static void Clear(Node node, Span<Scalar> slots)
    {
        if (node.Slot >= 0)
            slots[node.Slot] = Scalar.Absent;
        foreach (var (_, _, child) in node.Children)
            Clear(child, slots);
    }

    private sealed class Node
    {
        public int Slot { get; set; } = -1;

        public List<(byte[] Name, int Index, Node Node)> Children { get; } = [];

        public Node ChildOrNew(string segment)
        {
            var name = Encoding.UTF8.GetBytes(segment);
            foreach (var child in Children)
                if (child.Name.AsSpan().SequenceEqual(name))
                    return child.Node;
            // 00 names a member, never an item, so that each item has one name.
            var index = (segment is "0" || !segment.StartsWith('0'))
                && int.TryParse(segment, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : -1;
            var node = new Node();
            Children.Add((name, index, node));
            return node;
        }

        public Node? Find(ref Utf8JsonReader reader)
        {
            try
            {
                foreach (var child in Children)
                    if (reader.ValueTextEquals(child.Name))
                        return child.Node;
            }
            catch (InvalidOperationException)
            {
                // Half a surrogate pair: no path has such a name.
            }
            return null;
        }

        public Node? FindIndex(int index)
        {
            foreach (var child in Children)
                if (child.Index == index)
                    return child.Node;
            return null;
        }
    }
}
