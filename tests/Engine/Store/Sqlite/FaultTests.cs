using System.Buffers.Binary;
using System.Diagnostics;
using Prometheus;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Tests.Engine.Store.Sqlite;

public sealed class FaultTests : IAsyncDisposable
{
    private readonly SqliteHost _host = new();

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_full_disk_refuses_whole_calls_and_mends_itself_once_there_is_space()
    {
        Assert.SkipUnless(Environment.UserName == "root", "Mounting a small file system takes root.");
        var directory = Path.GetDirectoryName(_host.Path)!;
        await RunAsync("mount", "-t", "tmpfs", "-o", "size=4m", "store-test", directory);
        try
        {
            var instruments = new Instruments(Metrics.NewCustomRegistry());
            await using var store = await SqliteHost.OpenAsync(_host.Path, instruments);
            var stored = 0;
            var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(async () =>
            {
                for (; ; stored++)
                    await SqliteHost.FillAsync(store, count: 2, bodyBytes: 50_000, prefix: $"before-{stored}");
            });
            Assert.Contains("is full", refusal.Message, StringComparison.Ordinal);
            Assert.Equal(refusal.Message, store.Fault);
            Assert.Equal(1, instruments.StoreErrors.WithLabels("enqueue").Value);
            Assert.Equal(stored * 2, Assert.Single(await store.ReadBacklogsAsync(Token)).Pending);

            await RunAsync("mount", "-o", "remount,size=64m", directory);
            // Nobody calls, and yet it finds out.
            await SqliteHost.UntilAsync(() => store.Fault is null);
            await SqliteHost.FillAsync(store, count: 100, bodyBytes: 50_000, prefix: "after");
            Assert.Equal((stored * 2) + 100, Assert.Single(await store.ReadBacklogsAsync(Token)).Pending);
        }
        finally
        {
            // A process that another test is just starting may have inherited a file of it.
            await RunAsync("umount", "--lazy", directory);
        }
    }

    [Fact]
    public async Task Pages_that_are_damaged_while_it_runs_make_it_unavailable_with_a_message_that_says_so()
    {
        await using (var filled = await SqliteHost.OpenAsync(_host.Path))
            await SqliteHost.FillAsync(filled, count: 500, bodyBytes: 1000);
        await using var store = await SqliteHost.OpenAsync(_host.Path);
        // By another process: closing the file in this one would take SQLite's locks with it.
        var pages = new FileInfo(_host.Path).Length / 4096;
        await RunAsync("dd", "if=/dev/urandom", $"of={_host.Path}", "bs=4096", "seek=8", $"count={pages - 8}", "conv=notrunc", "status=none");

        var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(() => store.ReadDueAsync(
            SqliteHost.Subscription.Uid, DateTimeOffset.MinValue, DateTimeOffset.MaxValue, 1000, long.MaxValue, new HashSet<DeliveryId>(), Token));

        Assert.Contains("damaged", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(_host.Path, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_write_ahead_log_starts_over_under_load_and_while_reads_go_on()
    {
        await using var store = await SqliteHost.OpenAsync(_host.Path);
        using var done = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var reads = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            var count = 0;
            for (; !done.IsCancellationRequested; count++)
                await store.ReadBacklogsAsync(Token);
            return count;
        })).ToArray();

        var start = CheckpointSequence();
        var deadline = TimeProvider.System.GetUtcNow().AddMinutes(1);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            for (var i = 0; CheckpointSequence() < start + 2; i++)
            {
                Assert.True(TimeProvider.System.GetUtcNow() < deadline, "The log has only grown for a minute.");
                await SqliteHost.FillAsync(store, count: 4, bodyBytes: 64 * 1024, prefix: $"{worker}-{i}");
            }
        })));
        await done.CancelAsync();

        Assert.All(await Task.WhenAll(reads), count => Assert.True(count > 0));
    }

    /// <summary>Grows each time the log starts over (SQLite's database file format, 4.1: bytes 12 to 15 of its header).</summary>
    private uint CheckpointSequence()
    {
        using var log = new FileStream(_host.Path + "-wal", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        Span<byte> header = stackalloc byte[16];
        return log.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length ? 0 : BinaryPrimitives.ReadUInt32BigEndian(header[12..]);
    }

    [Fact]
    public async Task Space_that_sweeps_free_goes_back_to_the_disk()
    {
        await using (var store = await SqliteHost.OpenAsync(_host.Path))
        {
            await SqliteHost.FillAsync(store, count: 1000, bodyBytes: 40_000);
            while (await store.EndPendingAsync(SqliteHost.Subscription.Uid, DeliveryState.Cancelled, null,
                new HashSet<DeliveryId>(), SqliteHost.AcceptedTime, Token) > 0) { }
            while (await store.SweepAsync(SqliteHost.AcceptedTime.AddDays(1), Token) > 0) { }
            for (var round = 0; round < 10; round++)
                Assert.Equal(0, await store.SweepAsync(SqliteHost.AcceptedTime.AddDays(1), Token));
        }

        Assert.InRange(new FileInfo(_host.Path).Length, 0, 20_000_000);
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var error = await process.StandardError.ReadToEndAsync(CancellationToken.None);
        await process.WaitForExitAsync(CancellationToken.None);
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {error}");
    }
}
