using System.Security.Cryptography;
using System.Text;

namespace WebhookOperator.Engine.Routing;

/// <summary>Subscriptions are spread over a fixed number of shards; all of a shard are delivered by one replica.</summary>
internal static class Shard
{
    public const int Count = 256;

    /// <summary>0 to 255; the same in every version of the program.</summary>
    public static int Of(string subscriptionUid) => SHA256.HashData(Encoding.UTF8.GetBytes(subscriptionUid))[0];
}
