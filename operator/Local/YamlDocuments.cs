using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Local;

/// <summary>
/// Reads the documents of a YAML (or JSON) text one after the other, so that only one is in memory, and
/// refuses those that would exhaust it: deep nesting, and aliases that multiply.
/// </summary>
internal sealed class YamlDocuments
{
    private const int MaxDepth = 64;

    /// <summary>Room for a List of tens of thousands of objects.</summary>
    private const int MaxNodes = 1_000_000;

    private readonly Parser _parser;

    public YamlDocuments(string text)
    {
        _parser = new Parser(new StringReader(text));
        _parser.Consume<StreamStart>();
    }

    /// <summary>The next document's root, or null after the last.</summary>
    /// <exception cref="YamlException">The text is not YAML from there on, or is refused.</exception>
    public YamlNode? Next()
    {
        if (_parser.Accept<StreamEnd>(out _))
            return null;
        var document = new OneDocument(_parser);
        var stream = new YamlStream();
        try
        {
            stream.Load(document);
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or FormatException or OverflowException)
        {
            // The parser's way of refusing some malformed texts, such as an unclosed bracket.
            var near = document.Current?.End ?? Mark.Empty;
            throw new YamlException(near, near, "the text is not well-formed from here on: look for unclosed brackets and quotes", e);
        }
        var root = stream.Documents[0].RootNode;
        if (document.HasAlias)
            new ExpandedSize().Check(root, depth: 0);
        return root;
    }

    /// <summary>Presents the next document of a parser as a whole stream.</summary>
    private sealed class OneDocument(Parser inner) : IParser
    {
        private bool _started;
        private bool _ended;
        private int _depth;
        private int _nodes;

        public bool HasAlias { get; private set; }

        public ParsingEvent? Current { get; private set; }

        public bool MoveNext()
        {
            if (_ended)
                return false;
            if (!_started)
            {
                _started = true;
                Current = new StreamStart();
                return true;
            }
            if (Current is DocumentEnd)
            {
                _ended = true;
                Current = new StreamEnd();
                return true;
            }
            Current = inner.Consume<ParsingEvent>();
            _depth += Current.NestingIncrease;
            HasAlias |= Current is AnchorAlias;
            // The document itself is one level.
            if (_depth > MaxDepth + 1)
                throw new SemanticErrorException(Current.Start, Current.End, $"nested deeper than {MaxDepth} levels");
            if (++_nodes > MaxNodes)
                throw new SemanticErrorException(Current.Start, Current.End, $"one document has more than {MaxNodes} nodes");
            return true;
        }
    }

    /// <summary>Measures a document as if its aliases were written out.</summary>
    private sealed class ExpandedSize
    {
        private readonly Dictionary<YamlNode, (long Nodes, int Depth)> _known = new(ReferenceEqualityComparer.Instance);

        public (long Nodes, int Depth) Check(YamlNode node, int depth)
        {
            if (!_known.TryGetValue(node, out var size))
            {
                if (depth > MaxDepth)
                    throw Refuse(node, $"nested deeper than {MaxDepth} levels once its aliases are written out");
                size = (1, 0);
                foreach (var child in Children(node))
                {
                    var (nodes, height) = Check(child, depth + 1);
                    size = (size.Nodes + nodes, Math.Max(size.Depth, height + 1));
                    if (size.Nodes > MaxNodes)
                        throw Refuse(node, $"more than {MaxNodes} nodes once its aliases are written out");
                }
                _known[node] = size;
            }
            if (depth + size.Depth > MaxDepth)
                throw Refuse(node, $"nested deeper than {MaxDepth} levels once its aliases are written out");
            return size;
        }

        private static IEnumerable<YamlNode> Children(YamlNode node) => node switch
        {
            YamlMappingNode mapping => mapping.Children.SelectMany(pair => new[] { pair.Key, pair.Value }),
            YamlSequenceNode sequence => sequence.Children,
            _ => [],
        };

        private static SemanticErrorException Refuse(YamlNode node, string message) => new(node.Start, node.End, message);
    }
}
