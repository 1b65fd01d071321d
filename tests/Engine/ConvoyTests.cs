using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using WebhookOperator.Engine;
using WebhookOperator.Engine.Http;

namespace WebhookOperator.Tests.Engine;

/// <summary>Work that sets out together, and connections that send together what it writes.</summary>
public sealed class ConvoyTests
{
    [Fact]
    public async Task What_is_written_goes_out_after_the_last_member()
    {
        using var first = await Connection.OpenAsync();
        using var second = await Connection.OpenAsync();
        var early = await RunAsync(
            () =>
            {
                Assert.True(first.WriteAsync('a').IsCompletedSuccessfully);
                return 0;
            },
            () =>
            {
                Assert.True(second.WriteAsync('b').IsCompletedSuccessfully);
                return first.Far.Available + second.Far.Available;
            });
        Assert.Equal([0, 0], early);
        Assert.Equal("a"u8.ToArray(), await first.ReceiveAsync(1));
        Assert.Equal("b"u8.ToArray(), await second.ReceiveAsync(1));
    }

    [Fact]
    public async Task What_is_written_outside_of_a_convoy_goes_out_at_once()
    {
        using var connection = await Connection.OpenAsync();
        await connection.WriteAsync('a');
        Assert.Equal(1, connection.Far.Available);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(64 * 1024)]
    public async Task A_connection_keeps_the_order_of_what_is_written(int length)
    {
        using var connection = await Connection.OpenAsync();
        byte[] then = [.. Enumerable.Range(0, length).Select(i => (byte)(i * 31))];
        var writing = Task.CompletedTask;
        await RunAsync(() =>
        {
            Assert.True(connection.WriteAsync('a').IsCompletedSuccessfully);
            writing = connection.Near.WriteAsync(then, TestContext.Current.CancellationToken).AsTask();
            return 0;
        });
        byte[] all = [(byte)'a', .. then];
        Assert.Equal(all, await connection.ReceiveAsync(1 + length));
        await writing;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_write_from_elsewhere_does_not_overtake_what_is_held(bool async)
    {
        using var connection = await Connection.OpenAsync();
        await RunAsync(
            () =>
            {
                Assert.True(connection.WriteAsync('a').IsCompletedSuccessfully);
                return 0;
            },
            () =>
            {
                var thread = new Thread(() =>
                {
                    if (async)
                        connection.WriteAsync('b').GetAwaiter().GetResult();
                    else
                        connection.Near.WriteByte((byte)'b');
                });
                thread.Start();
                thread.Join();
                return 0;
            });
        Assert.Equal("ab"u8.ToArray(), await connection.ReceiveAsync(2));
    }

    [Fact]
    public async Task Who_waits_for_an_answer_learns_that_a_held_write_has_failed()
    {
        using var connection = await Connection.OpenAsync();
        var answer = Task.FromResult(-1);
        await RunAsync(() =>
        {
            Assert.True(connection.WriteAsync('a').IsCompletedSuccessfully);
            answer = connection.Near.ReadAsync(new byte[1], TestContext.Current.CancellationToken).AsTask();
            connection.Near.Socket.Shutdown(SocketShutdown.Send);
            return 0;
        });
        Assert.Equal(0, await answer.WaitAsync(Connection.Deadline, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task What_comes_up_within_one_formation_sets_out_in_convoys_of_sixteen()
    {
        var convoys = await RunAsync([.. Enumerable.Repeat(() => Convoy.UnderWay, 40)]);
        Assert.Equal([8, 16, 16], convoys.GroupBy(c => c!).Select(c => c.Count()).Order());
    }

    [Fact]
    public async Task A_formation_within_another_is_part_of_it()
    {
        var convoys = new BlockingCollection<Convoy?>();
        using (Convoy.Form())
        {
            using (Convoy.Form())
                Convoy.Add(new Member(() => convoys.Add(Convoy.UnderWay)));
            Convoy.Add(new Member(() => convoys.Add(Convoy.UnderWay)));
        }
        var first = await TakeAsync();
        Assert.NotNull(first);
        Assert.Same(first, await TakeAsync());

        Task<Convoy?> TakeAsync() => Task.Run(convoys.Take).WaitAsync(Connection.Deadline, TestContext.Current.CancellationToken);
    }

    /// <summary>What each member gave.</summary>
    private static Task<T[]> RunAsync<T>(params Func<T>[] members)
    {
        var tasks = members.Select(member => new Task<T>(member, TaskCreationOptions.RunContinuationsAsynchronously)).ToArray();
        using (Convoy.Form())
            foreach (var task in tasks)
                Convoy.Add(new Member(() => task.RunSynchronously(TaskScheduler.Default)));
        return Task.WhenAll(tasks).WaitAsync(Connection.Deadline, TestContext.Current.CancellationToken);
    }

    private sealed class Member(Action work) : IThreadPoolWorkItem
    {
        public void Execute() => work();
    }

    /// <summary>Over the kernel's loopback.</summary>
    private sealed class Connection(ConvoyStream near, Socket far) : IDisposable
    {
        public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

        public ConvoyStream Near => near;

        public Socket Far => far;

        public static async Task<Connection> OpenAsync()
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await socket.ConnectAsync(listener.LocalEndpoint);
            return new Connection(new ConvoyStream(socket), await listener.AcceptSocketAsync());
        }

        public Task WriteAsync(char letter) => near.WriteAsync(new[] { (byte)letter }).AsTask();

        public async Task<byte[]> ReceiveAsync(int length)
        {
            var bytes = new byte[length];
            using var stream = new NetworkStream(far);
            await stream.ReadExactlyAsync(bytes, TestContext.Current.CancellationToken).AsTask().WaitAsync(Deadline, TestContext.Current.CancellationToken);
            return bytes;
        }

        public void Dispose()
        {
            near.Dispose();
            far.Dispose();
        }
    }
}
