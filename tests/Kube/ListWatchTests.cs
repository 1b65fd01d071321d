using k8s.Models;
using WebhookOperator.Kube;
using WebhookOperator.Tests.Testing;
using WebhookOperator.Tests.Testing.FakeApi;

namespace WebhookOperator.Tests.Kube;

public sealed class ListWatchTests
{
    [Fact]
    public async Task Lists_page_by_page_then_follows_every_kind_of_change()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        for (var i = 0; i < 1203; i++)
            server.Store.Create(Follower.Collection, "acme", Follower.NewWidget($"w{i}", i));
        await using var follower = await Follower.StartAsync(server);
        Assert.Equal(1203, follower.Cache.Count);
        Assert.Empty(follower.Wrong());
        Assert.Equal(3, server.Requests.Count(request => request.Verb == "list"));

        follower.Create("new", 1);
        follower.Resize("w7", 777);
        follower.Delete("w8");
        await follower.UntilRightAsync();
        Assert.True(follower.Cache.TryGet("acme", "w7", out var resized));
        Assert.Equal(777, resized.Spec!.Size);
        Assert.False(follower.Cache.TryGet("acme", "w8", out _));
        await Wait.UntilAsync(() => follower.Changes.Any(name => name.Name == "w8"), "the last change is told");
        Assert.Equal(["acme/new", "acme/w7", "acme/w8"], follower.Changes.Skip(1203).Select(name => name.ToString()).Distinct());
        Assert.Equal(3, server.Requests.Count(request => request.Verb == "list"));
        Assert.Null(follower.Fault);
    }

    [Fact]
    public async Task A_snapshot_costs_nothing_between_two_changes_and_does_not_change_after()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        await using var follower = await Follower.StartAsync(server);
        follower.Create("a");
        await follower.UntilRightAsync();
        var before = follower.Cache.Items;
        Assert.Same(before, follower.Cache.Items);
        follower.Create("b");
        await follower.UntilRightAsync();
        Assert.Equal(["a"], before.Select(item => item.Metadata.Name));
        Assert.Equal(2, follower.Cache.Items.Count);
    }

    [Fact]
    public async Task Several_namespaces_fill_one_cache_and_none_touches_another()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        var hold = new TaskCompletionSource();
        server.Refuse = async request =>
        {
            if (request is { Verb: "list", Namespace: "two" })
                await hold.Task;
            return null;
        };
        foreach (var @namespace in new[] { "one", "two", "three" })
            server.Store.Create(Follower.Collection, @namespace, Follower.NewWidget("w"));
        await using var follower = await Follower.StartAsync(server, null, waitForSync: false, new() { Namespace = "one" }, new() { Namespace = "two" });
        await Wait.UntilAsync(() => follower.Cache.Count == 1, "the first namespace is there");
        Assert.False(follower.Cache.Synced);
        Assert.Contains("widgets.example.test in two: not listed yet", follower.ListWatches[1].Fault);

        hold.SetResult();
        await follower.Cache.WhenSynced.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(["one", "two"], follower.Cache.Items.Select(item => item.Metadata.NamespaceProperty).Order());

        // The list of one namespace that is read again removes what is gone there, and nothing else.
        foreach (var watch in server.Watches)
            watch.Cut();
        follower.Delete("w", "one");
        server.Store.Compact();
        await Wait.UntilAsync(() => follower.Cache.Items.Select(item => item.Metadata.NamespaceProperty).SequenceEqual(["two"]), "only the other namespace's is left");
    }

    [Fact]
    public async Task An_object_that_leaves_the_selection_leaves_the_cache()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        await using var follower = await Follower.StartAsync(server, null, true, new ListWatchOptions<Widget> { LabelSelector = "app=shop" });
        follower.Create("in", label: "shop");
        follower.Create("out", label: "bank");
        await Wait.UntilAsync(() => follower.Cache.Items.Select(item => item.Metadata.Name).SequenceEqual(["in"]), "the one that is selected is there");
        follower.Store.MergePatch(Follower.Collection, "acme", "in",
            new() { ["metadata"] = new System.Text.Json.Nodes.JsonObject { ["labels"] = new System.Text.Json.Nodes.JsonObject { ["app"] = "bank" } } }, false);
        await Wait.UntilAsync(() => follower.Cache.Count == 0, "it has left");
    }

    [Fact]
    public async Task An_object_that_can_not_be_read_keeps_nothing_else_from_being_followed()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        var bad = Follower.NewWidget("bad");
        bad["spec"]!["size"] = "large";
        server.Store.Create(Follower.Collection, "acme", bad);
        server.Store.Create(Follower.Collection, "acme", Follower.NewWidget("good", 1));
        await using var follower = await Follower.StartAsync(server);
        Assert.Equal(["good"], follower.Cache.Items.Select(item => item.Metadata.Name));
        Assert.Contains(follower.Log.Warnings, line => line.Contains("acme/bad", StringComparison.Ordinal) && line.Contains("size", StringComparison.Ordinal));

        // One that was fine stays as it was, until it can be read again.
        follower.Store.MergePatch(Follower.Collection, "acme", "good", new() { ["spec"] = new System.Text.Json.Nodes.JsonObject { ["size"] = "huge" } }, false);
        await Wait.UntilAsync(() => follower.Log.Warnings.Any(line => line.Contains("acme/good", StringComparison.Ordinal)), "the bad state is told");
        Assert.True(follower.Cache.TryGet("acme", "good", out var good));
        Assert.Equal(1, good.Spec!.Size);
        follower.Resize("good", 2);
        follower.Resize("bad", 3);
        await follower.UntilRightAsync();
    }

    [Fact]
    public async Task A_stand_in_takes_the_place_of_what_can_not_be_read()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        var bad = Follower.NewWidget("bad");
        bad["spec"]!["size"] = "large";
        server.Store.Create(Follower.Collection, "acme", bad);
        await using var follower = await Follower.StartAsync(server, null, true, new ListWatchOptions<Widget>
        {
            Unreadable = (metadata, fault) => new Widget { Metadata = metadata, Spec = new WidgetSpec { Text = fault.Message } },
        });
        Assert.Contains("$.spec.size", Assert.Single(follower.Cache.Items).Spec!.Text);
    }

    [Fact]
    public async Task What_nobody_reads_is_dropped_before_it_is_kept()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        await using var follower = await Follower.StartAsync(server, null, true, new ListWatchOptions<Widget>
        {
            Trim = widget => widget with { Spec = widget.Spec! with { Text = null } },
        });
        follower.Create("large", 1, text: new string('x', 700_000));
        await follower.UntilRightAsync();
        Assert.Null(follower.Cache.Items.Single().Spec!.Text);
    }

    [Fact]
    public async Task An_API_server_that_is_away_at_the_start_is_waited_for_and_told()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        server.Store.Create(Follower.Collection, "acme", Follower.NewWidget("w"));
        await server.GoAwayAsync();
        await using var follower = await Follower.StartAsync(server, waitForSync: false);
        await Wait.UntilAsync(() => follower.Fault!.Contains("can't be reached", StringComparison.Ordinal), "the fault is told");
        Assert.Contains(server.Uri.ToString(), follower.Fault);
        Assert.False(follower.Cache.Synced);

        await server.ComeAsync();
        await follower.Cache.WhenSynced.WaitAsync(TimeSpan.FromSeconds(60));
        await follower.UntilRightAsync();
        await Wait.UntilAsync(() => follower.Fault is null, "the fault is over");
        // Once for each change, however often it was tried.
        Assert.Single(follower.Log.Warnings);
    }

    [Fact]
    public async Task A_resource_that_is_not_installed_is_waited_for_with_the_command_that_mends_it()
    {
        await using var server = await FakeApiServer.StartAsync();
        await using var follower = await Follower.StartAsync(server, null, false, new ListWatchOptions<Widget> { NotFoundHint = "kubectl apply -f widgets.yaml" });
        await Wait.UntilAsync(() => follower.Fault!.Contains("(404)", StringComparison.Ordinal), "the fault is told");
        Assert.EndsWith("does not know widgets.example.test in version v1 (404): kubectl apply -f widgets.yaml", follower.Fault, StringComparison.Ordinal);

        server.Store.Serve(Follower.Collection);
        await follower.Cache.WhenSynced.WaitAsync(TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task A_resource_that_is_uninstalled_for_a_while_takes_nothing_out_of_the_cache()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        server.Store.Create(Follower.Collection, "acme", Follower.NewWidget("w"));
        await using var follower = await Follower.StartAsync(server);
        var watch = await follower.WatchAsync();
        server.Store.Unserve(Follower.Collection);
        watch.Cut();
        await Wait.UntilAsync(() => follower.Fault is { } fault && fault.Contains("(404)", StringComparison.Ordinal), "the fault is told");
        Assert.Equal(1, follower.Cache.Count);
        server.Store.Serve(Follower.Collection);
        await follower.UntilRightAsync();
        Assert.Equal(0, follower.Cache.Count);
    }

    [Theory]
    [InlineData("list")]
    [InlineData("watch")]
    public async Task A_verb_that_is_not_granted_is_told(string verb)
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        var granted = false;
        server.Refuse = request => Task.FromResult(request.Verb == verb && !granted
            ? new FakeRefusal(403, "Forbidden", $"User \"x\" cannot {verb} resource \"widgets\"")
            : null);
        await using var follower = await Follower.StartAsync(server, waitForSync: false);
        await Wait.UntilAsync(() => follower.Fault is { } fault && fault.Contains("(403)", StringComparison.Ordinal), "the fault is told");
        Assert.Contains($"the verb {verb} on widgets.example.test is not granted", follower.Fault);
        granted = true;
        await Wait.UntilAsync(() => follower.Fault is null && follower.Cache.Synced, "it follows");
        follower.Create("w");
        await follower.UntilRightAsync();
    }
}
