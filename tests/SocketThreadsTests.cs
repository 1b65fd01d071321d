using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests;

public sealed class SocketThreadsTests
{
    private const string Batch = "3";

    /// <summary>In a running operator, by the kernel's own word: the 41st field of proc(5)'s stat is the policy.</summary>
    [Fact]
    public async Task The_threads_that_wait_for_sockets_take_their_turns()
    {
        await using var running = await LocalOperator.StartAsync("");

        // Others end while they are listed; these live as long as the process.
        var policies = SocketThreads.Ids().ConvertAll(id => File.ReadAllText($"/proc/self/task/{id}/stat").Split(") ")[^1].Split(' ')[41 - 3]);

        Assert.NotEmpty(policies);
        Assert.All(policies, policy => Assert.Equal(Batch, policy));
    }
}
