using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Testing.FakeApi;

/// <summary>
/// Who owns which field, for server-side apply in its simple form: a field is a path to a value; lists are values, but
/// for those of objects with a <c>type</c>, which are maps by it, as conditions are.
/// </summary>
internal sealed class FakeFieldManagers
{
    /// <summary>By uid, part (spec or status), then manager: the paths that it owns.</summary>
    private readonly Dictionary<(string Uid, string Part), Dictionary<string, HashSet<string>>> _owners = [];

    /// <summary>Brings the part of the object into the state that the manager wants.</summary>
    public void Apply(JsonObject before, JsonObject after, JsonObject patch, string manager, bool force, string part)
    {
        var owners = Owners((string)before["metadata"]!["uid"]!, part);
        var wanted = Leaves(patch[part]);
        var present = Leaves(before[part]);
        var others = owners.Where(owner => owner.Key != manager).ToArray();
        foreach (var (path, value) in wanted)
        {
            var differs = !JsonNode.DeepEquals(value, present.GetValueOrDefault(path));
            foreach (var (other, paths) in others.Where(owner => differs && owner.Value.Contains(path)))
            {
                if (!force)
                    throw new FakeStatusException(409, "Conflict", $"Apply failed with 1 conflict: conflict with \"{other}\": .{part}{path}", "FieldManagerConflict");
                paths.Remove(path);
            }
        }
        var merged = new Dictionary<string, JsonNode?>(present);
        foreach (var path in owners.GetValueOrDefault(manager) ?? [])
        {
            if (!wanted.ContainsKey(path) && !others.Any(owner => owner.Value.Contains(path)))
                merged.Remove(path);
        }
        foreach (var (path, value) in wanted)
            merged[path] = value;
        owners[manager] = [.. wanted.Keys];
        if (patch.ContainsKey(part) || present.Count > 0)
            after[part] = Build(merged);
    }

    private Dictionary<string, HashSet<string>> Owners(string uid, string part)
    {
        if (!_owners.TryGetValue((uid, part), out var owners))
            _owners[(uid, part)] = owners = [];
        return owners;
    }

    private static Dictionary<string, JsonNode?> Leaves(JsonNode? node)
    {
        var leaves = new Dictionary<string, JsonNode?>();
        Collect(node, "", leaves);
        return leaves;

        static void Collect(JsonNode? node, string path, Dictionary<string, JsonNode?> leaves)
        {
            if (node is JsonObject item)
            {
                foreach (var (key, value) in item)
                    Collect(value, $"{path}/{key}", leaves);
            }
            else if (node is JsonArray { Count: > 0 } list && list.All(e => e is JsonObject o && o.ContainsKey("type")))
            {
                foreach (var entry in list)
                    Collect(entry, $"{path}/[{(string)entry!["type"]!}]", leaves);
            }
            else if (node is not null)
            {
                leaves[path] = node;
            }
        }
    }

    private static JsonObject Build(Dictionary<string, JsonNode?> leaves)
    {
        var root = new JsonObject();
        foreach (var (path, value) in leaves)
        {
            var steps = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
            var node = root;
            foreach (var step in steps[..^1])
            {
                if (node[step] is not JsonObject child)
                    node[step] = child = [];
                node = child;
            }
            node[steps[^1]] = value?.DeepClone();
        }
        return (JsonObject)Lists(root)!;
    }

    /// <summary>An object whose keys are all of the form <c>[type]</c> is a list.</summary>
    private static JsonNode? Lists(JsonNode? node)
    {
        if (node is not JsonObject item)
            return node?.DeepClone();
        if (item.Count > 0 && item.All(entry => entry.Key.StartsWith('[')))
            return new JsonArray([.. item.Select(entry => Lists(entry.Value))]);
        return new JsonObject(item.Select(entry => KeyValuePair.Create(entry.Key, Lists(entry.Value))));
    }
}
