using System.Security.Cryptography;
using System.Text;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>
/// Signatures are verified by code that is not ours. The clock is the real one, since the official library
/// compares with its own.
/// </summary>
public sealed class NodeVerificationTests
{
    private static readonly StoredEvent Small = Stored(SenderFixture.Event);

    [Fact]
    public async Task A_receiver_verifies_with_any_one_of_the_keys()
    {
        var (old, @new, pair, other) = (Hmac(), Hmac(), SigningKey.Generate(SigningAlgorithm.Ed25519), Hmac());
        await using var receiver = await NodeReceiver.StartAsync(
            ("old", old.ToSecretText()), ("new", @new.ToSecretText()), ("pair", pair.PublicKey!), ("other", other.ToSecretText()));

        Assert.Equal(["old"], await VerifiedByAsync(receiver, old));
        Assert.Equal(["old", "new"], await VerifiedByAsync(receiver, @new, old));
        Assert.Equal(["pair"], await VerifiedByAsync(receiver, pair));
        Assert.Equal(["new", "pair"], await VerifiedByAsync(receiver, pair, @new));
        Assert.Empty(await VerifiedByAsync(receiver, Hmac()));
        Assert.Empty(await VerifiedByAsync(receiver));
    }

    [Fact]
    public async Task Through_a_rotation_the_old_and_the_new_key_both_verify_as_long_as_they_are_active()
    {
        var (old, @new) = (Hmac(), Hmac());
        await using var knowsOld = await NodeReceiver.StartAsync(("key", old.ToSecretText()));
        await using var knowsNew = await NodeReceiver.StartAsync(("key", @new.ToSecretText()));

        SigningKey[][] rotation = [[old], [@new, old], [@new]];
        int?[][] seen = new int?[rotation.Length][];
        for (var i = 0; i < rotation.Length; i++)
            seen[i] = [(await SendAsync(knowsOld, Small, rotation[i])).StatusCode, (await SendAsync(knowsNew, Small, rotation[i])).StatusCode];

        Assert.Equal([[200, 401], [200, 200], [401, 200]], seen);
    }

    [Fact]
    public async Task Real_payloads_arrive_byte_for_byte_and_verified_in_every_format()
    {
        var (key, pair) = (Hmac(), SigningKey.Generate(SigningAlgorithm.Ed25519));
        await using var receiver = await NodeReceiver.StartAsync(("key", key.ToSecretText()), ("pair", pair.PublicKey!));
        using var sender = NewSender();
        var payloads = await GitHubPayloads.AllAsync();
        Assert.InRange(payloads.Count, 300, int.MaxValue);

        var sent = 0;
        await Parallel.ForEachAsync(payloads, async (payload, cancellation) =>
        {
            foreach (var e in new[] { AsBinary(payload), AsStructured(payload) })
            {
                foreach (var format in Enum.GetValues<PayloadFormat>())
                {
                    var stored = Stored(e);
                    var result = await SendAsync(sender, receiver, stored, format, [key, pair], cancellation);
                    Assert.True(result.StatusCode == 200, $"{payload.EventName} as {format}: {result.Message}");
                    var seen = NodeReceiver.Read(result.Body.Span);
                    Assert.Equal(["key", "pair"], seen.VerifiedBy);
                    Assert.Equal(stored.Id.ToString(), seen.WebhookId);
                    Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Expected(payload, e, format))), seen.Sha256);
                    Interlocked.Increment(ref sent);
                }
            }
        });

        Assert.Equal(payloads.Count * 8, sent);
        Assert.Equal(sent, (await receiver.WaitForAsync(sent)).Count);
    }

    /// <summary>What should arrive, put together without the code that is tested.</summary>
    private static byte[] Expected(GitHubPayload payload, Event e, PayloadFormat format) => format switch
    {
        PayloadFormat.CloudEvents when e.Encoding == EventEncoding.Structured => e.Body.ToArray(),
        PayloadFormat.CloudEvents => Surround(
            $$"""{"specversion":"1.0","id":"{{e.Id}}","source":"/github","type":"{{e.Type}}","datacontenttype":"application/json","data":""", payload, "}"),
        PayloadFormat.StandardWebhooks => Surround(
            $$"""{"type":"{{e.Type}}","timestamp":"2026-01-02T03:04:05.000Z","data":""", payload, "}"),
        _ => payload.Body,
    };

    private static Event AsBinary(GitHubPayload payload) => new()
    {
        Id = "1",
        Source = "/github",
        Type = $"com.github.{payload.EventName}",
        DataContentType = "application/json",
        Encoding = EventEncoding.Binary,
        Body = payload.Body,
        DataRange = ..,
    };

    private static Event AsStructured(GitHubPayload payload)
    {
        var head = $$"""{ "specversion": "1.0", "type": "com.github.{{payload.EventName}}", "source": "/github", "id": "1", "data": """;
        return AsBinary(payload) with
        {
            Encoding = EventEncoding.Structured,
            DataContentType = null,
            Body = Surround(head, payload, "\n}"),
            DataRange = head.Length..(head.Length + payload.Body.Length),
        };
    }

    private static byte[] Surround(string before, GitHubPayload payload, string after) =>
        [.. Encoding.UTF8.GetBytes(before), .. payload.Body, .. Encoding.UTF8.GetBytes(after)];

    private static StoredEvent Stored(Event e) => new(SenderFixture.EventId, "acme", SenderFixture.Now, e);

    private static SigningKey Hmac() => SigningKey.Generate(SigningAlgorithm.HmacSha256);

    private static Sender NewSender() => new(new AddressGuard([System.Net.IPNetwork.Parse("127.0.0.0/8")]), TimeProvider.System);

    private static async Task<string[]> VerifiedByAsync(NodeReceiver receiver, params SigningKey[] keys) =>
        NodeReceiver.Read((await SendAsync(receiver, Small, keys)).Body.Span).VerifiedBy;

    private static async Task<SendResult> SendAsync(NodeReceiver receiver, StoredEvent stored, SigningKey[] keys)
    {
        using var sender = NewSender();
        return await SendAsync(sender, receiver, stored, PayloadFormat.CloudEvents, keys, CancellationToken.None);
    }

    private static Task<SendResult> SendAsync(
        Sender sender, NodeReceiver receiver, StoredEvent stored, PayloadFormat format, SigningKey[] keys, CancellationToken cancellation) =>
        sender.SendAsync(
            SenderFixture.Subscription(new Endpoint { Url = receiver.Url, Format = format, SigningKeys = [.. keys] }),
            SenderFixture.Delivery(stored), cancellation);
}
