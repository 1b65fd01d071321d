using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using k8s;

namespace WebhookOperator.Kube;

/// <summary>JSON as <see cref="KubernetesJson"/> reads and writes it, on bytes instead of strings.</summary>
internal static class KubeJson
{
    /// <summary>The client's own, so that what it has learnt of the types is kept once.</summary>
    private static readonly JsonSerializerOptions Options = ClientOptions();

    /// <exception cref="JsonException">Not JSON, or not of this type.</exception>
    public static T? Read<T>(ReadOnlySpan<byte> utf8) => JsonSerializer.Deserialize(utf8, TypeOf<T>());

    public static byte[] Write<T>(T value) => JsonSerializer.SerializeToUtf8Bytes(value, TypeOf<T>());

    private static JsonTypeInfo<T> TypeOf<T>() => (JsonTypeInfo<T>)Options.GetTypeInfo(typeof(T));

    private static JsonSerializerOptions ClientOptions()
    {
        JsonSerializerOptions? options = null;
        KubernetesJson.AddJsonOptions(o => options = o);
        return options!;
    }
}
