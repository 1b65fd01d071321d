using System.Collections.Immutable;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Api.Checks;
using WebhookOperator.Api.Schema;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Local;

/// <summary>
/// Turns the text of a manifest file into objects with their defaults filled in, or into faults that name the
/// place: by the schema of the CRDs, then by the checks that the reconciler makes. Pure, and never throws.
/// </summary>
internal static class ManifestReader
{
    /// <summary>The namespace of objects that name none.</summary>
    public const string DefaultNamespace = "default";

    /// <param name="fileName">For the faults.</param>
    /// <param name="text">YAML or JSON, any number of documents.</param>
    public static ManifestContents Read(string fileName, string text)
    {
        var file = new FileReader(fileName);
        try
        {
            var documents = new YamlDocuments(text);
            while (documents.Next() is { } root)
                file.Document(root);
        }
        catch (YamlException e)
        {
            file.SyntaxError((int)e.Start.Line, (int)e.Start.Column, Lower(e.Message));
        }
        return file.Contents();
    }

    private static string Lower(string message) =>
        message.Length == 0 ? "malformed" : char.ToLowerInvariant(message[0]) + message[1..].TrimEnd('.');

    /// <summary>Gathers what the documents of one file say.</summary>
    private sealed class FileReader(string file)
    {
        private readonly ImmutableArray<ManifestObject>.Builder _objects = ImmutableArray.CreateBuilder<ManifestObject>();
        private readonly List<ManifestFault> _faults = [];
        private readonly ImmutableArray<ManifestFault>.Builder _ignored = ImmutableArray.CreateBuilder<ManifestFault>();
        private readonly ImmutableHashSet<ResourceKey>.Builder _broken = ImmutableHashSet.CreateBuilder<ResourceKey>();
        private readonly Dictionary<ResourceKey, int> _lines = [];
        private bool _incomplete;

        public ManifestContents Contents() => new()
        {
            Objects = _objects.ToImmutable(),
            Faults = [.. _faults],
            Ignored = _ignored.ToImmutable(),
            Broken = _broken.ToImmutable(),
            Incomplete = _incomplete,
        };

        /// <summary>What was read before it is not to be trusted either: the file may be half written.</summary>
        public void SyntaxError(int line, int column, string message)
        {
            _objects.Clear();
            _broken.Clear();
            _incomplete = true;
            _faults.Add(new ManifestFault(file, Math.Max(1, line), Math.Max(1, column), "", $"not valid YAML: {message}"));
        }

        public void Document(YamlNode root)
        {
            if (root is YamlScalarNode { Value: null or "" or "~" or "null" })
                return;
            if (root is not YamlMappingNode document)
            {
                Unidentified(root, "", "is not a Kubernetes object: a document is a mapping with apiVersion, kind and metadata");
                return;
            }
            if (!TryText(document, "apiVersion", out var apiVersion) || !TryText(document, "kind", out var kind))
                return;

            switch (apiVersion, kind)
            {
                case (ApiGroup.ApiVersion, WebhookSubscription.KubeKind or WebhookSecret.KubeKind):
                case ("v1", V1Secret.KubeKind):
                    Object(document, kind);
                    break;
                case ("v1", "List"):
                    foreach (var item in Items(document))
                        Document(item);
                    break;
                case (_, WebhookSubscription.KubeKind or WebhookSecret.KubeKind):
                    Unidentified(document["apiVersion"], "apiVersion", $"must be {ApiGroup.ApiVersion} for a {kind}");
                    break;
                case (ApiGroup.ApiVersion, _):
                    Unidentified(document["kind"], "kind", $"must be {WebhookSubscription.KubeKind} or {WebhookSecret.KubeKind} in {ApiGroup.ApiVersion}");
                    break;
                default:
                    _ignored.Add(new ManifestFault(file, (int)document.Start.Line, (int)document.Start.Column, "", $"{kind} ({apiVersion}) is ignored: only {WebhookSubscription.KubeKind}, {WebhookSecret.KubeKind} and Secret mean something here"));
                    break;
            }
        }

        private void Object(YamlMappingNode document, string kind)
        {
            // As an API server does: status is not the writer's to set.
            document.Children.Remove(new YamlScalarNode("status"));
            var findings = kind == V1Secret.KubeKind ? SecretReader.Validate(document) : CrdSchema.For(kind).Validate(document);
            foreach (var finding in findings)
                _faults.Add(ManifestFault.From(file, finding));
            if (findings.Any(finding => finding.Field is "metadata" or "metadata.name" or "metadata.namespace"))
            {
                _incomplete = true;
                return;
            }

            var metadata = Metadata(document);
            var key = new ResourceKey(kind, metadata.NamespaceProperty, metadata.Name);
            if (!_lines.TryAdd(key, (int)document.Start.Line))
            {
                // The first one stays in force, so the key is not broken by this.
                Add(document, "metadata.name", $"must not name {key} again: line {_lines[key]} of this file does, and stays in force");
                return;
            }
            var before = _faults.Count;
            if (findings.Count == 0 && Resource(document, kind, metadata) is var resource && _faults.Count == before)
                _objects.Add(new ManifestObject(key, resource, file, document));
            else
                _broken.Add(key);
        }

        /// <summary>Only what is the writer's to set: not the uid and the like of an object that was exported from a cluster.</summary>
        private static V1ObjectMeta Metadata(YamlMappingNode document)
        {
            var json = TypedJson.Convert(ObjectMetaSchema.Root, document["metadata"]);
            var @namespace = Text(json["namespace"]);
            return new V1ObjectMeta
            {
                Name = Text(json["name"]),
                NamespaceProperty = @namespace.Length > 0 ? @namespace : DefaultNamespace,
                Labels = Map(json["labels"]),
                Annotations = Map(json["annotations"]),
            };

            static string Text(JsonNode? node) => node?.ToString() ?? "";

            static Dictionary<string, string>? Map(JsonNode? node) =>
                (node as JsonObject)?.ToDictionary(entry => entry.Key, entry => Text(entry.Value));
        }

        /// <summary>The object of a document that fits its schema; what else is wrong is noted.</summary>
        private IKubernetesObject<V1ObjectMeta> Resource(YamlMappingNode document, string kind, V1ObjectMeta metadata)
        {
            if (kind == V1Secret.KubeKind)
                return SecretReader.Read(document, metadata, Add);
            var spec = CrdSchema.For(kind).ToJson(document)["spec"] ?? new JsonObject();
            if (kind == WebhookSecret.KubeKind)
            {
                var secret = new WebhookSecret { Metadata = metadata, Spec = KubernetesJson.Deserialize<WebhookSecretSpec>(spec) };
                Note(document, SecretChecks.Check(secret));
                return secret;
            }
            var subscription = new WebhookSubscription
            {
                Metadata = metadata,
                Spec = KubernetesJson.Deserialize<WebhookSubscriptionSpec>(spec),
            };
            Note(document, SubscriptionChecks.Check(subscription));
            return subscription;
        }

        private void Note(YamlMappingNode document, IReadOnlyList<FieldFault> faults)
        {
            foreach (var fault in faults)
                _faults.Add(ManifestFault.From(file, FieldLocator.Locate(document, fault.Field, fault.Message)));
        }

        private IEnumerable<YamlNode> Items(YamlMappingNode list)
        {
            if (list.Children.TryGetValue(new YamlScalarNode("items"), out var node) && node is YamlSequenceNode items)
                return items.Children;
            Unidentified(list, "items", "must be the list of the objects");
            return [];
        }

        private bool TryText(YamlMappingNode document, string field, out string text)
        {
            text = "";
            if (!document.Children.TryGetValue(new YamlScalarNode(field), out var node))
                Unidentified(document, field, "is required: every document names its apiVersion and kind");
            else if (node is YamlScalarNode scalar && YamlScalar.Of(scalar) is { Kind: ScalarKind.String, Text.Length: > 0 } value)
                text = value.Text;
            else
                Unidentified(node, field, "must be a string that names it");
            return text.Length > 0;
        }

        private void Unidentified(YamlNode node, string field, string message)
        {
            _incomplete = true;
            Add(node, field, message);
        }

        private void Add(YamlNode node, string field, string message) =>
            _faults.Add(new ManifestFault(file, (int)node.Start.Line, (int)node.Start.Column, field, message));
    }
}
