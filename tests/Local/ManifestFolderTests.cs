using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using WebhookOperator.Api;
using WebhookOperator.Engine.Store;
using WebhookOperator.Local;
using WebhookOperator.Tests.Testing;
using static WebhookOperator.Tests.Testing.Manifests;

namespace WebhookOperator.Tests.Local;

public sealed class ManifestFolderTests
{
    [Fact]
    public async Task Takes_over_what_is_written_changed_and_removed()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Join(Subscription("one"), Secret("three", "key", "first")));
        directory.Write("sub/folder/b.yml", Generated("two"));
        var source = await directory.StartAsync();
        var changed = new List<ResourceKey>();
        source.Changed += key =>
        {
            lock (changed)
                changed.Add(key);
        };

        Assert.True(source.TryGetSubscription("acme", "one", out var before));
        Assert.True(source.TryGetWebhookSecret("acme", "two", out _));
        Assert.Equal(["acme", "default"], source.Namespaces.Order());
        Assert.Equal(1, before.Metadata.Generation);
        Assert.True(Guid.TryParse(before.Metadata.Uid, out _));

        directory.Write("a.yaml", Join(Subscription("one", "https://elsewhere.example/"), Secret("three", "key", "second")));
        await directory.UntilAsync(() => IsTold("Secret", "three"), "the new URL and the new Secret are in force");
        Assert.Equal("https://elsewhere.example/", Url(source, "one"));
        Assert.True(source.TryGetSubscription("acme", "one", out var after));
        Assert.Equal((before.Metadata.Uid, 2), (after.Metadata.Uid, after.Metadata.Generation));
        Assert.Equal(before.Metadata.CreationTimestamp, after.Metadata.CreationTimestamp);
        var secret = await source.GetSecretAsync("acme", "three", TestContext.Current.CancellationToken);
        Assert.Equal("second", Encoding.UTF8.GetString(secret!.Data["key"]));

        directory.Delete("sub/folder/b.yml");
        await directory.UntilAsync(() => IsTold("WebhookSecret", "two"), "the removed object is gone");
        Assert.False(source.TryGetWebhookSecret("acme", "two", out _));
        Assert.True(IsTold("WebhookSubscription", "one"));
        Assert.Empty(directory.Log.Warnings);

        bool IsTold(string kind, string name)
        {
            lock (changed)
                return changed.Contains(new ResourceKey(kind, "acme", name));
        }
    }

    [Fact]
    public async Task Touching_a_file_or_reordering_it_is_no_change()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Join(Subscription("one"), Subscription("two")));
        var source = await directory.StartAsync();
        var changed = 0;
        source.Changed += key => Interlocked.Add(ref changed, key.Name is "one" or "two" ? 1 : 0);

        directory.Write("a.yaml", "# a comment\n" + Join(Subscription("two"), Subscription("one"), Subscription("three")));
        await directory.UntilAsync(() => source.TryGetSubscription("acme", "three", out _), "the third is there");

        Assert.Equal(0, changed);
        Assert.All(source.Subscriptions, subscription => Assert.Equal(1, subscription.Metadata.Generation));
    }

    [Fact]
    public async Task A_fault_is_told_with_its_place_and_the_last_good_version_stays()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Join(Subscription("one"), Subscription("two")));
        var source = await directory.StartAsync();

        // One document is broken: the other is taken over.
        directory.Write("a.yaml", Join(
            Subscription("one", more: "  suspend: maybe"), Subscription("two", "https://new.example/")));
        await directory.UntilAsync(() => Url(source, "two") == "https://new.example/", "the good document is in force");
        Assert.Equal("https://partner.example/hooks", Url(source, "one"));
        var path = Path.Combine(directory.Folder, "a.yaml");
        await directory.UntilAsync(() => directory.Log.Warnings.Count == 1, "the fault is told");
        Assert.StartsWith($"{path}:9:12: spec.suspend: ", directory.Log.Warnings[0], StringComparison.Ordinal);

        // The file is no YAML any more: all stays.
        directory.Write("a.yaml", Subscription("two", "https://lost.example/") + "\n]");
        await directory.UntilAsync(
            () => source.Faults is [var fault] && fault.Message.Contains("not valid YAML", StringComparison.Ordinal), "the syntax error is told");
        Assert.Equal(2, directory.Log.Warnings.Count);
        Assert.Equal("https://partner.example/hooks", Url(source, "one"));
        Assert.Equal("https://new.example/", Url(source, "two"));

        // Also over a restart.
        await directory.StopAsync();
        source = await directory.StartAsync();
        Assert.Equal("https://partner.example/hooks", Url(source, "one"));

        directory.Write("a.yaml", Subscription("one", "https://good.example/"));
        await directory.UntilAsync(() => Url(source, "one") == "https://good.example/" && !source.TryGetSubscription("acme", "two", out _), "the file is good again");
        Assert.Empty(source.Faults);
    }

    [Fact]
    public async Task The_same_object_in_two_files_is_a_fault_and_the_first_stays()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one"));
        var source = await directory.StartAsync();
        Assert.True(source.TryGetSubscription("acme", "one", out var before));

        directory.Write("0.yaml", Subscription("one", "https://second.example/"));
        await directory.UntilAsync(() => source.Faults.Length == 1, "the conflict is found");
        Assert.Contains(Path.Combine(directory.Folder, "0.yaml") + ":1:1: ", source.Faults[0].ToString(), StringComparison.Ordinal);
        Assert.Contains(Path.Combine(directory.Folder, "a.yaml") + ":1", source.Faults[0].Message, StringComparison.Ordinal);
        Assert.Equal("https://partner.example/hooks", Url(source, "one"));

        // The second takes over where the first goes; the object lives on.
        directory.Delete("a.yaml");
        await directory.UntilAsync(() => Url(source, "one") == "https://second.example/" && source.Faults.IsEmpty, "the second is in force");
        Assert.True(source.TryGetSubscription("acme", "one", out var after));
        Assert.Equal(before.Metadata.Uid, after.Metadata.Uid);
    }

    [Fact]
    public async Task A_deleted_and_recreated_object_has_another_uid_and_a_renamed_file_does_not_matter()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one"));
        var source = await directory.StartAsync();
        Assert.True(source.TryGetSubscription("acme", "one", out var first));

        File.Move(Path.Combine(directory.Folder, "a.yaml"), Path.Combine(directory.Folder, "b.yaml"));
        await directory.UntilAsync(
            () => directory.State.Objects[new ResourceKey("WebhookSubscription", "acme", "one")].File == "b.yaml", "the other file is known");
        Assert.True(source.TryGetSubscription("acme", "one", out var renamed));
        Assert.Equal(first.Metadata.Uid, renamed.Metadata.Uid);

        directory.Delete("b.yaml");
        await directory.UntilAsync(() => !source.TryGetSubscription("acme", "one", out _), "it is gone");
        directory.Write("b.yaml", Subscription("one"));
        await directory.UntilAsync(() => source.TryGetSubscription("acme", "one", out _), "it is back");
        Assert.True(source.TryGetSubscription("acme", "one", out var second));
        Assert.NotEqual(first.Metadata.Uid, second.Metadata.Uid);
        Assert.Equal(1, second.Metadata.Generation);
    }

    [Fact]
    public async Task Identities_outlive_a_restart_and_what_went_meanwhile_is_gone()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one"));
        directory.Write("b.yaml", Subscription("two"));
        var source = await directory.StartAsync();
        Assert.True(source.TryGetSubscription("acme", "one", out var before));
        await directory.StopAsync();
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(directory.StatePath));

        directory.Write("a.yaml", Subscription("one", "https://new.example/"));
        directory.Delete("b.yaml");
        source = await directory.StartAsync();

        Assert.True(source.TryGetSubscription("acme", "one", out var after));
        Assert.Equal((before.Metadata.Uid, 2), (after.Metadata.Uid, after.Metadata.Generation));
        Assert.False(source.TryGetSubscription("acme", "two", out _));
    }

    [Fact]
    public async Task Follows_a_mounted_ConfigMap_whose_link_is_swapped()
    {
        await using var directory = new ManifestDirectory();
        WriteVersion("..v1", Subscription("one"));
        File.CreateSymbolicLink(Path.Combine(directory.Folder, "..data"), "..v1");
        File.CreateSymbolicLink(Path.Combine(directory.Folder, "a.yaml"), "..data/a.yaml");
        var source = await directory.StartAsync();
        Assert.Equal("https://partner.example/hooks", Url(source, "one"));

        // The same length and time, as a file system with a coarse clock would give.
        WriteVersion("..v2", Subscription("one", "https://partner.example/HOOKS"));
        File.SetLastWriteTimeUtc(
            Path.Combine(directory.Folder, "..v2/a.yaml"), File.GetLastWriteTimeUtc(Path.Combine(directory.Folder, "..v1/a.yaml")));
        File.CreateSymbolicLink(Path.Combine(directory.Folder, "..data_tmp"), "..v2");
        // Replaces the link as a kubelet does, which File.Move can't with a link to a folder.
        using (var move = Process.Start("mv", ["-T", Path.Combine(directory.Folder, "..data_tmp"), Path.Combine(directory.Folder, "..data")]))
            await move.WaitForExitAsync(TestContext.Current.CancellationToken);
        Directory.Delete(Path.Combine(directory.Folder, "..v1"), recursive: true);

        await directory.UntilAsync(() => Url(source, "one") == "https://partner.example/HOOKS", "the new version is in force");
        Assert.Empty(source.Faults);

        void WriteVersion(string version, string text)
        {
            Directory.CreateDirectory(Path.Combine(directory.Folder, version));
            File.WriteAllText(Path.Combine(directory.Folder, version, "a.yaml"), text);
        }
    }

    [Fact]
    public async Task Editors_that_move_the_old_file_away_first_do_not_delete_the_object()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one"));
        var source = await directory.StartAsync();
        Assert.True(source.TryGetSubscription("acme", "one", out var before));
        var path = Path.Combine(directory.Folder, "a.yaml");

        // What takes long on a busy disk comes first: between the two moves there is only a moment.
        File.WriteAllText(Path.Combine(directory.Folder, ".a.yaml.swp"), "b0VIM");
        File.WriteAllText(path + ".tmp", Subscription("one", "https://edited.example/"));
        File.Move(path, path + "~");
        File.Move(path + ".tmp", path);
        File.Delete(path + "~");

        await directory.UntilAsync(() => Url(source, "one") == "https://edited.example/", "the edited version is in force");
        Assert.True(source.TryGetSubscription("acme", "one", out var after));
        Assert.Equal(before.Metadata.Uid, after.Metadata.Uid);
    }

    [Fact]
    public async Task A_change_within_the_clock_tick_of_the_file_system_is_seen()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one", "https://aaaa.example/"));
        var source = await directory.StartAsync();
        var path = Path.Combine(directory.Folder, "a.yaml");
        var time = File.GetLastWriteTimeUtc(path);

        File.WriteAllText(path, Subscription("one", "https://bbbb.example/"));
        File.SetLastWriteTimeUtc(path, time);

        await directory.UntilAsync(() => Url(source, "one") == "https://bbbb.example/", "the change is in force");
    }

    [Fact]
    public async Task A_folder_that_vanishes_leaves_everything_in_force()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one"));
        var source = await directory.StartAsync();

        Directory.Move(directory.Folder, directory.Folder + ".away");
        await directory.UntilAsync(() => source.Faults.Length == 1, "the fault is found");
        Assert.Contains("stays in force", source.Faults[0].Message, StringComparison.Ordinal);
        Assert.True(source.TryGetSubscription("acme", "one", out _));

        Directory.Move(directory.Folder + ".away", directory.Folder);
        await directory.UntilAsync(() => source.Faults.IsEmpty, "the folder is back");
        Assert.True(source.TryGetSubscription("acme", "one", out _));
    }

    [Fact]
    public async Task What_cannot_be_read_is_told_and_does_not_hold_up_the_rest()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one"));
        File.WriteAllBytes(Path.Combine(directory.Folder, "b.yaml"), [0xff, 0xfe, 0x00]);
        File.CreateSymbolicLink(Path.Combine(directory.Folder, "c.yaml"), "nowhere");
        Directory.CreateSymbolicLink(Path.Combine(directory.Folder, "circle"), ".");

        var source = await directory.StartAsync();

        Assert.True(source.TryGetSubscription("acme", "one", out _));
        await directory.UntilAsync(() => directory.Log.Warnings.Any(line => line.Contains("b.yaml:1:1: is not UTF-8", StringComparison.Ordinal))
            && directory.Log.Warnings.Any(line => line.Contains("c.yaml:1:1: can't be read", StringComparison.Ordinal)), "both are told");
    }

    [Fact]
    public async Task An_algorithm_does_not_change()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Generated("keys"));
        var source = await directory.StartAsync();

        directory.Write("a.yaml", Generated("keys", algorithm: "Ed25519"));
        await directory.UntilAsync(() => source.Faults.Length == 1, "the fault is found");

        Assert.Equal("spec.algorithm", source.Faults[0].Field);
        Assert.True(source.TryGetWebhookSecret("acme", "keys", out var secret));
        Assert.Equal("HmacSha256", secret.Spec.Algorithm);
    }

    [Fact]
    public async Task Ten_thousand_objects_are_read_and_one_changes()
    {
        await using var directory = new ManifestDirectory();
        for (var file = 0; file < 100; file++)
            directory.Write($"{file}.yaml", Join([.. Enumerable.Range(0, 100).Select(i => Subscription($"s{file}-{i}"))]));
        var source = await directory.StartAsync();
        Assert.Equal(10_000, source.Subscriptions.Count);

        directory.Write("50.yaml", Subscription("s50-7", "https://new.example/"));
        await directory.UntilAsync(() => source.Subscriptions.Count == 9_901 && Url(source, "s50-7") == "https://new.example/", "the change is in force");
    }

    [Fact]
    public async Task A_status_is_kept_until_the_object_is_another()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one"));
        var source = await directory.StartAsync();
        var key = new ResourceKey("WebhookSubscription", "acme", "one");
        Assert.True(source.TryGetSubscription("acme", "one", out var first));
        await source.SaveStatusAsync(key, first.Metadata.Uid, StatusWriter.Controller,
            new WebhookSubscriptionStatus { ObservedGeneration = 1 }, TestContext.Current.CancellationToken);
        await source.SaveStatusAsync(key, "of a namesake", StatusWriter.Controller,
            new WebhookSubscriptionStatus { ObservedGeneration = 2 }, TestContext.Current.CancellationToken);

        directory.Write("a.yaml", Subscription("one", "https://new.example/"));
        await directory.UntilAsync(() => Url(source, "one") == "https://new.example/", "the change is in force");

        Assert.True(source.TryGetSubscription("acme", "one", out var subscription));
        Assert.Equal(1, subscription.Status?.ObservedGeneration);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"version\":1,\"objects\":[")]
    [InlineData("{\"version\":1,\"objects\":[{\"file\":\"a\",\"resource\":{\"kind\":\"Secret\"}}],\"ownedSecrets\":[]}")]
    [InlineData("[]")]
    [InlineData("{\"version\":2}")]
    public void A_state_that_is_damaged_is_refused_with_what_to_do(string text)
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, text);

        var fault = Assert.Throws<StoreOpenException>(() => LocalState.Open(path));

        Assert.Contains(path, fault.Message, StringComparison.Ordinal);
        File.Delete(path);
    }

    [Fact]
    public async Task A_state_that_cannot_be_written_leaves_the_old_version_in_force_until_it_can()
    {
        await using var directory = new ManifestDirectory();
        directory.Write("a.yaml", Subscription("one"));
        var source = await directory.StartAsync();
        // A folder in the place of the file that is renamed makes the write fail, also for root.
        Directory.CreateDirectory(directory.StatePath + ".tmp");

        directory.Write("a.yaml", Subscription("one", "https://new.example/"));
        await directory.UntilAsync(() => directory.Log.Warnings.Count > 0, "the fault is told");
        Assert.Equal("https://partner.example/hooks", Url(source, "one"));

        Directory.Delete(directory.StatePath + ".tmp");
        await directory.UntilAsync(() => Url(source, "one") == "https://new.example/", "the change is in force");
        Assert.Equal(1, JsonNode.Parse(File.ReadAllText(directory.StatePath))!["version"]!.GetValue<int>());
    }

    private static string? Url(ManifestFolder source, string name) =>
        source.TryGetSubscription("acme", name, out var subscription) ? subscription.Spec.Endpoint?.Url : null;
}
