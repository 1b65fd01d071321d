using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Api.Schema;

/// <summary>
/// The schema of metadata, which no CRD may carry. The API server has it built in: ObjectMeta of meta/v1,
/// with the rules for names and labels.
/// </summary>
internal static class ObjectMetaSchema
{
    private const string Yaml = """
        type: object
        required: [name]
        properties:
          name:
            type: string
            minLength: 1
            maxLength: 253
            pattern: ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$
            example: orders
          generateName: { type: string, maxLength: 253 }
          namespace:
            type: string
            maxLength: 63
            pattern: ^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$
            example: acme
          labels:
            type: object
            additionalProperties:
              type: string
              maxLength: 63
              pattern: ^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$
              example: orders
          annotations:
            type: object
            additionalProperties: { type: string }
          finalizers:
            type: array
            x-kubernetes-list-type: set
            items: { type: string }
          ownerReferences:
            type: array
            x-kubernetes-list-type: map
            x-kubernetes-list-map-keys: [uid]
            items:
              type: object
              required: [apiVersion, kind, name, uid]
              properties:
                apiVersion: { type: string }
                kind: { type: string }
                name: { type: string }
                uid: { type: string }
                controller: { type: boolean }
                blockOwnerDeletion: { type: boolean }
          uid: { type: string }
          resourceVersion: { type: string }
          generation: { type: integer, format: int64 }
          creationTimestamp: { type: string, format: date-time }
          deletionTimestamp: { type: string, format: date-time }
          deletionGracePeriodSeconds: { type: integer, format: int64 }
          selfLink: { type: string }
        """;

    public static SchemaNode Root { get; } = Load();

    private static SchemaNode Load()
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(Yaml));
        return SchemaNode.Read((YamlMappingNode)stream.Documents[0].RootNode);
    }
}
