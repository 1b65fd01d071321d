using System.Text;
using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;
using static WebhookOperator.Tests.Testing.Manifests;

namespace WebhookOperator.Tests.Reconcile;

public sealed class KeyRotationTests
{
    private const string EveryHour = "  rotation:\n    interval: 60m\n    overlap: 10m";
    private const string Signed = "  signing:\n    secretRef:\n      name: keys";

    /// <summary>Valid secrets of 32 bytes.</summary>
    private static readonly string[] Secrets = [.. Enumerable.Range(0, 3).Select(i =>
        "whsec_" + Convert.ToBase64String(Encoding.ASCII.GetBytes($"{i}-123456789012345678901234567890")))];

    [Theory]
    [InlineData("HmacSha256", "whsec_")]
    [InlineData("Ed25519", "whsk_")]
    public async Task Generates_a_key_once_and_keeps_it(string algorithm, string prefix)
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("a.yaml", Join(Generated("keys", algorithm: algorithm), Subscription("one", more: Signed)));
        await harness.StartAsync();

        var id = Assert.Single(harness.KeyIds("one"));
        var status = harness.SecretStatus("keys")!;
        Assert.Equal("keys-webhook-keys", status.SecretName);
        Assert.Equal(id, Assert.Single(status.ActiveKeys!).Id);
        Assert.Equal(algorithm == "Ed25519", status.ActiveKeys![0].PublicKey?.StartsWith("whpk_", StringComparison.Ordinal) == true);
        Assert.Null(status.NextRotationTime);
        Assert.Equal("True KeysAvailable", harness.Condition("WebhookSecret", "keys", "Ready"));
        Assert.Equal("False OneKey", harness.Condition("WebhookSecret", "keys", "Rotating"));
        var owned = await harness.Source.GetSecretAsync("acme", "keys-webhook-keys", TestContext.Current.CancellationToken);
        Assert.StartsWith(prefix, Encoding.ASCII.GetString(owned!.Data["current"]), StringComparison.Ordinal);
        Assert.Equal("true", owned.Metadata.Labels[ApiGroup.WatchLabel]);

        harness.Time.Advance(TimeSpan.FromDays(1000));
        await harness.RestartAsync();
        Assert.Equal([id], harness.KeyIds("one"));

        // No text of a key ever reaches the log.
        Assert.DoesNotContain(harness.Directory.Log.Lines, line => line.Contains(prefix, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Rotates_on_time_with_both_keys_through_the_overlap_and_over_restarts()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("a.yaml", Join(Generated("keys", EveryHour), Subscription("one", more: Signed)));
        await harness.StartAsync();
        var first = Assert.Single(harness.KeyIds("one"));
        Assert.Equal(harness.Time.GetUtcNow().UtcDateTime.AddMinutes(60), harness.SecretStatus("keys")!.NextRotationTime);

        harness.Time.Advance(TimeSpan.FromMinutes(59));
        await harness.RestartAsync();
        Assert.Equal([first], harness.KeyIds("one"));

        harness.Time.Advance(TimeSpan.FromMinutes(1));
        await harness.UntilAsync(() => harness.KeyIds("one").Count == 2, "two keys sign");
        var second = harness.KeyIds("one")[0];
        Assert.NotEqual(first, second);
        Assert.Equal([second, first], harness.KeyIds("one"));
        await harness.UntilAsync(() => harness.Condition("WebhookSecret", "keys", "Rotating") == "True Overlap", "the overlap is told");
        var status = harness.SecretStatus("keys")!;
        Assert.Equal([second, first], status.ActiveKeys!.Select(key => key.Id));
        Assert.Equal(harness.Time.GetUtcNow().UtcDateTime.AddMinutes(10), status.ActiveKeys![1].ExpireTime);
        Assert.Null(status.ActiveKeys[0].ExpireTime);

        // In the middle of the overlap: nothing is rotated again, and nothing forgotten.
        harness.Time.Advance(TimeSpan.FromMinutes(5));
        await harness.RestartAsync();
        Assert.Equal([second, first], harness.KeyIds("one"));

        harness.Time.Advance(TimeSpan.FromMinutes(5));
        await harness.UntilAsync(() => harness.KeyIds("one").Count == 1, "the old key has expired");
        Assert.Equal([second], harness.KeyIds("one"));
        var owned = await harness.Source.GetSecretAsync("acme", "keys-webhook-keys", TestContext.Current.CancellationToken);
        Assert.DoesNotContain("previous", owned!.Data.Keys);

        // Down for many intervals: one rotation.
        await harness.StopAsync();
        harness.Time.Advance(TimeSpan.FromHours(100));
        await harness.StartAsync();
        await harness.UntilAsync(() => harness.KeyIds("one") is [not null, var previous] && previous == second, "it was rotated once");
    }

    [Fact]
    public async Task Takes_over_a_key_and_signs_with_the_old_one_for_a_day_after_a_change()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("s.yaml", Secret("source", "key", Secrets[0]));
        harness.Directory.Write("a.yaml", Join(Adopted("keys", "source", "key"), Subscription("one", more: Signed)));
        await harness.StartAsync();
        Assert.Equal([IdOf(0)], harness.KeyIds("one"));

        harness.Directory.Write("s.yaml", Secret("source", "key", Secrets[1]));
        await harness.UntilAsync(() => harness.KeyIds("one").Count == 2, "both sign");
        Assert.Equal([IdOf(1), IdOf(0)], harness.KeyIds("one"));

        await harness.RestartAsync();
        Assert.Equal([IdOf(1), IdOf(0)], harness.KeyIds("one"));

        harness.Time.Advance(TimeSpan.FromHours(24));
        await harness.UntilAsync(() => harness.KeyIds("one").Count == 1, "the old one has expired");
        Assert.Equal([IdOf(1)], harness.KeyIds("one"));
    }

    [Fact]
    public async Task A_key_that_cannot_sign_leaves_the_last_valid_one()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("s.yaml", Secret("source", "key", Secrets[0]));
        harness.Directory.Write("a.yaml", Join(Adopted("keys", "source", "key"), Subscription("one", more: Signed)));
        await harness.StartAsync();

        harness.Directory.Write("s.yaml", Secret("source", "key", "whsec_c2hvcnQ="));
        await harness.UntilAsync(() => harness.Condition("WebhookSecret", "keys", "Stalled") == "True InvalidKey", "the fault is told");
        Assert.Equal("False InvalidKey", harness.Condition("WebhookSecret", "keys", "Ready"));
        Assert.Equal([IdOf(0)], harness.KeyIds("one"));

        harness.Directory.Write("s.yaml", Secret("source", "key", Secrets[0]));
        await harness.UntilAsync(() => harness.Condition("WebhookSecret", "keys", "Stalled") == "", "it is mended");
        Assert.Equal("True KeysAvailable", harness.Condition("WebhookSecret", "keys", "Ready"));
        Assert.Equal([IdOf(0)], harness.KeyIds("one"));
    }

    [Fact]
    public async Task A_missing_key_holds_deliveries_until_it_appears()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("a.yaml", Join(Adopted("keys", "source", "key"), Subscription("one", more: Signed)));
        await harness.StartAsync();
        Assert.Null(harness.Subscription("one")!.Endpoint);
        Assert.Equal(["one"], harness.RoutedIn("acme"));
        Assert.Equal("False SecretNotFound", harness.Condition("WebhookSecret", "keys", "Ready"));

        harness.Directory.Write("s.yaml", Secret("source", "other", Secrets[0]));
        await harness.UntilAsync(() => harness.Condition("WebhookSecret", "keys", "Ready") == "False SecretKeyNotFound", "the missing key is told");
        harness.Directory.Write("s.yaml", Secret("source", "key", Secrets[0]));
        await harness.UntilAsync(() => harness.KeyIds("one").Count == 1, "it signs");

        harness.Directory.Delete("s.yaml");
        await harness.UntilAsync(() => harness.Subscription("one")!.Endpoint is null, "deliveries are held again");
    }

    [Fact]
    public async Task A_foreign_Secret_of_that_name_is_not_overwritten()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("s.yaml", Secret("keys-webhook-keys", "current", "mine"));
        harness.Directory.Write("a.yaml", Generated("keys"));
        await harness.StartAsync();
        Assert.Equal("True SecretConflict", harness.Condition("WebhookSecret", "keys", "Stalled"));

        harness.Directory.Delete("s.yaml");
        await harness.UntilAsync(() => harness.Condition("WebhookSecret", "keys", "Ready") == "True KeysAvailable", "the way is free");
    }

    [Fact]
    public async Task A_WebhookSecret_that_was_deleted_and_recreated_has_new_keys()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("a.yaml", Generated("keys"));
        harness.Directory.Write("b.yaml", Subscription("one", more: Signed));
        await harness.StartAsync();
        var first = Assert.Single(harness.KeyIds("one"));

        harness.Directory.Delete("a.yaml");
        await harness.UntilAsync(() => harness.Subscription("one")!.Endpoint is null, "deliveries are held");
        await harness.UntilAsync(() => harness.Condition("WebhookSubscription", "one", "Ready") == "False WebhookSecretNotFound", "it is told");
        harness.Directory.Write("a.yaml", Generated("keys"));
        await harness.UntilAsync(() => harness.KeyIds("one").Count == 1, "it signs again");
        Assert.NotEqual(first, harness.KeyIds("one")[0]);
    }

    private static string IdOf(int index)
    {
        Assert.True(SigningKey.TryParse(Secrets[index], SigningAlgorithm.HmacSha256, out var key, out _));
        return key.Id;
    }
}
