using System.Globalization;
using System.Text;
using System.Text.Json;
using CsCheck;
using WebhookOperator.Engine.Routing;
using static WebhookOperator.Tests.Testing.Generators;

namespace WebhookOperator.Tests.Engine.Routing;

public sealed class RouteTableTests
{
    private static readonly Gen<string> Type = OneOf("a", "a.b", "a.b.c", "a.bc", "b", "b.a", "é.x");
    private static readonly Gen<string> TypePattern = OneOf("a", "a.b", "a.b.c", "b", "*", "a*", "a.*", "a.b*", "a.b.*", "é*", "b.a");
    private static readonly Gen<string> Source = OneOf("/s", "/s/1", "/s/2", "/t");
    private static readonly Gen<string> SourcePattern = OneOf("/s", "/s/*", "/s/1", "/t", "/*");
    private static readonly Gen<string> Word = OneOf("x", "y", "10", "10.0", "-1", "1e1", "true", "é\"\n", "");

    private static readonly Gen<string> Key = OneOf(
        "type", "subject", "region", "data.a", "data.b", "data.a.b", "data.a.0", "data.a.1.b", "data.é", "data.a.b.c");

    private static readonly Gen<string> Json = Gen.Recursive<string>((depth, inner) => depth > 3
        ? OneOf("1", "\"x\"", "null")
        : Gen.OneOf(
            OneOf("1", "10", "10.0", "-1", "1e1", "1e400", "true", "false", "null", "\"x\"", "\"10\"", "\"\\u0078\"", "\"\""),
            Gen.Select(OneOf("a", "b", "é", "\\u0061", "0"), inner).Array[0, 3]
                .Select(members => "{" + string.Join(',', members.Select(m => $"\"{m.Item1}\":{m.Item2}")) + "}"),
            inner.Array[0, 3].Select(items => $"[{string.Join(", ", items)}]")));

    private static readonly Gen<MatchExpression> Expression = Gen.Select(Key, Gen.Enum<MatchOperator>(), Word.Array[1, 3]).Select(
        (key, op, words) => new MatchExpression(key, op, op switch
        {
            MatchOperator.Exists or MatchOperator.DoesNotExist => [],
            MatchOperator.Gt or MatchOperator.Gte or MatchOperator.Lt or MatchOperator.Lte =>
                [words.FirstOrDefault(w => decimal.TryParse(w, NumberStyles.Float, CultureInfo.InvariantCulture, out _)) ?? "3"],
            _ => [.. words],
        }));

    private static readonly Gen<Filter> AnyFilter = Gen.Select(
        TypePattern.Array[0, 3], SourcePattern.Array[0, 2], Expression.Array[0, 2],
        (types, sources, expressions) => new Filter { Types = [.. types], Sources = [.. sources], Expressions = [.. expressions] });

    private static readonly Gen<Event> AnyEvent = Gen.Select(Type, Source, Word, Json, Gen.Bool, OneOf("application/json", "text/plain", null))
        .Select((type, source, word, json, extended, contentType) => new Event
        {
            Id = "1",
            Source = source,
            Type = type,
            Subject = word,
            DataContentType = contentType,
            Extensions = extended ? [new Extension("region", word)] : [],
            Encoding = EventEncoding.Binary,
            Body = Encoding.UTF8.GetBytes(json),
            DataRange = ..,
        });

    [Fact]
    public void A_table_matches_what_asking_each_filter_would_match_and_each_once() =>
        Gen.Select(AnyFilter.Array[0, 12], AnyEvent.Array[1, 4]).Sample((filters, events) =>
        {
            var subscriptions = filters.Select((filter, i) => Subscription($"s{i:00}", filter)).ToArray();
            var table = RouteTable.Build(subscriptions);
            foreach (var e in events)
            {
                var matches = new List<Subscription>();
                table.Match(e, matches);
                Assert.Equal(
                    subscriptions.Where(s => Oracle(s.Filter, e)).Select(s => s.Uid),
                    matches.Select(m => m.Uid).Order(StringComparer.Ordinal));
            }
        }, iter: 3000);

    [Fact]
    public void The_data_of_a_structured_event_is_found_within_its_body()
    {
        var body = """{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"amount":1000.50}}""";
        var start = body.IndexOf("{\"amount", StringComparison.Ordinal);
        var e = new Event
        {
            Id = "1", Source = "/s", Type = "t", Encoding = EventEncoding.Structured, Body = Encoding.UTF8.GetBytes(body),
            DataRange = start..(body.Length - 1),
        };
        Assert.True(Matches(new MatchExpression("data.amount", MatchOperator.Gte, ["1000.5"]), e));
        Assert.False(Matches(new MatchExpression("data.amount", MatchOperator.Gt, ["1000.5"]), e));
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("{\"a\":1")]
    [InlineData("{\"a\":1} x")]
    [InlineData("")]
    public void Data_that_is_no_JSON_is_absent(string body)
    {
        var e = new Event { Id = "1", Source = "/s", Type = "t", Encoding = EventEncoding.Binary, Body = Encoding.UTF8.GetBytes(body), DataRange = .. };
        Assert.True(Matches(new MatchExpression("data.a", MatchOperator.DoesNotExist, []), e));
    }

    [Theory]
    [InlineData("12345678901234567890123456789.5", "12345678901234567890123456789.4", true)]
    [InlineData("1e300", "1e299", true)]
    [InlineData("1e-40", "0", true)]
    [InlineData("0.1", "0.10", false)]
    public void Numbers_compare_by_value_whatever_their_size(string value, string than, bool greater)
    {
        var e = new Event
        {
            Id = "1", Source = "/s", Type = "t", Encoding = EventEncoding.Binary, Body = Encoding.UTF8.GetBytes($"{{\"n\":{value}}}"), DataRange = ..,
        };
        Assert.Equal(greater, Matches(new MatchExpression("data.n", MatchOperator.Gt, [than]), e));
    }

    [Theory]
    [InlineData("""{"b":"\ud800","a":"1"}""", "data.b")]
    [InlineData("""{"b":{"\ud800":1},"a":"1"}""", "data.b.ccc")]
    [InlineData("""{"\ud800":1,"a":"1"}""", "data.b")]
    [InlineData("""{"b":["x"],"a":"1"}""", "data.b.00")]
    public void What_one_subscription_looks_at_changes_nothing_for_another(string json, string path)
    {
        var e = new Event { Id = "1", Source = "/s", Type = "t", Encoding = EventEncoding.Binary, Body = Encoding.UTF8.GetBytes(json), DataRange = .. };
        var matches = new List<Subscription>();
        RouteTable.Build(
        [
            Subscription("other", new Filter { Expressions = [new MatchExpression(path, MatchOperator.In, ["x"])] }),
            Subscription("wants-a", new Filter { Expressions = [new MatchExpression("data.a", MatchOperator.In, ["1"])] }),
            Subscription("wants-item", new Filter { Expressions = [new MatchExpression("data.b.0", MatchOperator.In, ["x"])] }),
        ]).Match(e, matches);
        Assert.Equal(json.Contains('[') ? ["wants-a", "wants-item"] : ["wants-a"], matches.Select(m => m.Uid).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_string_that_is_not_Unicode_is_there_and_equals_nothing()
    {
        byte[][] bodies = ["{\"a\":\"\\ud800\"}"u8.ToArray(), [.. "{\"a\":\""u8, 0xFF, .. "\"}"u8]];
        foreach (var body in bodies)
        {
            var e = new Event { Id = "1", Source = "/s", Type = "t", Encoding = EventEncoding.Binary, Body = body, DataRange = .. };
            Assert.True(Matches(new MatchExpression("data.a", MatchOperator.Exists, []), e));
            Assert.True(Matches(new MatchExpression("data.a", MatchOperator.NotIn, ["x"]), e));
            Assert.False(Matches(new MatchExpression("data.a", MatchOperator.Prefix, [""]), e));
        }
    }

    [Theory]
    [InlineData(63, true)]
    [InlineData(64, false)]
    public void Data_that_is_nested_deeper_than_64_levels_is_absent(int arrays, bool there)
    {
        var e = new Event
        {
            Id = "1", Source = "/s", Type = "t", Encoding = EventEncoding.Binary, DataRange = ..,
            Body = Encoding.UTF8.GetBytes($"{{\"a\":1,\"b\":{new string('[', arrays)}{new string(']', arrays)}}}"),
        };
        Assert.Equal(there, Matches(new MatchExpression("data.a", MatchOperator.Exists, []), e));
    }

    private static bool Matches(MatchExpression expression, Event e)
    {
        var matches = new List<Subscription>();
        RouteTable.Build([Subscription("s", new Filter { Expressions = [expression] })]).Match(e, matches);
        return matches.Count == 1;
    }

    private static Subscription Subscription(string name, Filter filter) => new()
    {
        Uid = name,
        Name = new NamespacedName("acme", name),
        Generation = 1,
        Filter = filter,
        Delivery = new DeliveryPolicy(),
    };

    private static bool Oracle(Filter filter, Event e) =>
        (filter.Types.IsEmpty || filter.Types.Any(p => Fits(p, e.Type)))
        && (filter.Sources.IsEmpty || filter.Sources.Any(p => Fits(p, e.Source)))
        && filter.Expressions.All(x => Oracle(x, e));

    private static bool Fits(string pattern, string text) =>
        pattern.EndsWith('*') ? text.StartsWith(pattern[..^1], StringComparison.Ordinal) : text == pattern;

    /// <summary>The same rules on a document object model, written for reading.</summary>
    private static bool Oracle(MatchExpression x, Event e)
    {
        var (kind, text) = ValueOf(x.Key, e);
        var isIn = kind switch
        {
            JsonValueKind.String or JsonValueKind.True or JsonValueKind.False => x.Values.Contains(text),
            JsonValueKind.Number => x.Values.Any(v => Number(v) is { } n && Number(text) == n),
            _ => false,
        };
        double? number = kind is JsonValueKind.String or JsonValueKind.Number ? Number(text) : null;
        return x.Operator switch
        {
            MatchOperator.In => isIn,
            MatchOperator.NotIn => !isIn,
            MatchOperator.Exists => kind is not (JsonValueKind.Undefined or JsonValueKind.Null),
            MatchOperator.DoesNotExist => kind is JsonValueKind.Undefined or JsonValueKind.Null,
            MatchOperator.Gt => number > Number(x.Values[0]),
            MatchOperator.Gte => number >= Number(x.Values[0]),
            MatchOperator.Lt => number < Number(x.Values[0]),
            MatchOperator.Lte => number <= Number(x.Values[0]),
            MatchOperator.Prefix => kind == JsonValueKind.String && x.Values.Any(v => text.StartsWith(v, StringComparison.Ordinal)),
            _ => kind == JsonValueKind.String && x.Values.Any(v => text.EndsWith(v, StringComparison.Ordinal)),
        };
    }

    private static double? Number(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : null;

    private static (JsonValueKind Kind, string Text) ValueOf(string key, Event e)
    {
        if (!key.StartsWith("data.", StringComparison.Ordinal))
        {
            var attribute = key switch
            {
                "type" => e.Type,
                "subject" => e.Subject,
                _ => e.Extensions.FirstOrDefault(x => x.Name == key).Value,
            };
            return attribute is null ? default : (JsonValueKind.String, attribute);
        }
        if (e.DataContentType == "text/plain")
            return default;
        using var document = JsonDocument.Parse(e.Body);
        var element = document.RootElement;
        foreach (var segment in key[5..].Split('.'))
        {
            if (element.ValueKind == JsonValueKind.Object && element.TryGetProperty(segment, out var member))
                element = member;
            else if (element.ValueKind == JsonValueKind.Array && int.TryParse(segment, out var index) && index < element.GetArrayLength())
                element = element[index];
            else
                return default;
        }
        return (element.ValueKind, element.ToString() is var text && element.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? element.GetRawText() : element.ValueKind == JsonValueKind.Number ? element.GetRawText() : text);
    }
}
