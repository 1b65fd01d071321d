using System.Globalization;
using System.Text;
using System.Threading.Channels;
using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// Hints as notifications of PostgreSQL. They are sent apart from the commits that they are about: a notification within a
/// transaction makes commits wait for each other.
/// </summary>
internal sealed class HintChannel(ServerAddress server, SessionPool sessions, TimeProvider time) : IAsyncDisposable
{
    private const string Name = "webhook_operator";

    /// <summary>PostgreSQL takes payloads of less than 8,000 bytes.</summary>
    private const int MaxPayload = 7900;

    private const int MaxQueued = 100_000;

    /// <summary>Between two messages, so that under load many hints share one.</summary>
    private static readonly TimeSpan Gap = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan Reconnect = TimeSpan.FromSeconds(1);

    private readonly Channel<Hint> _queue = Channel.CreateBounded<Hint>(
        new BoundedChannelOptions(MaxQueued) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    private readonly CancellationTokenSource _stop = new();
    private Task? _sending;

    public void Start() => _sending = Task.Run(SendAsync);

    public void Tell(Hint hint) => _queue.Writer.TryWrite(hint);

    public async Task ListenAsync(Action<Hint> heard, Action deaf, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                await using var session = await server.OpenAsync(cancellation);
                session.Notification += (_, notification) => Read(notification.Payload, heard);
                await using (var listen = new NpgsqlCommand($"LISTEN {Name}", session))
                    await listen.ExecuteNonQueryAsync(cancellation);
                deaf();
                while (true)
                    await session.WaitAsync(cancellation);
            }
            catch (Exception e) when (!cancellation.IsCancellationRequested && e is not OutOfMemoryException)
            {
                // The store's own log tells of a server that is away; polling goes on without hints.
                await Task.Delay(Reconnect, time, cancellation);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_queue.Writer.TryComplete())
            return;
        await _stop.CancelAsync();
        if (_sending is not null)
            await _sending;
        _stop.Dispose();
    }

    private async Task SendAsync()
    {
        try
        {
            while (await _queue.Reader.WaitToReadAsync())
            {
                var payloads = Write();
                try
                {
                    await sessions.RunAsync(
                        async (session, token) =>
                        {
                            await using var notify = new NpgsqlCommand($"SELECT count(pg_notify('{Name}', p.text)) FROM unnest($1) AS p (text)", session)
                            {
                                Parameters = { Column.Of(payloads, p => p) },
                            };
                            return await notify.ExecuteNonQueryAsync(token);
                        },
                        _stop.Token);
                }
                catch (StoreUnavailableException)
                {
                    // Hints are hints.
                }
                await Task.Delay(Gap, time, _stop.Token);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
    }

    /// <summary>Everything that is queued, one line for each subscription.</summary>
    private List<string> Write()
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        while (_queue.Reader.TryRead(out var hint))
            counts[hint.SubscriptionUid] = counts.GetValueOrDefault(hint.SubscriptionUid) + hint.Count;
        var payloads = new List<string>();
        var text = new StringBuilder();
        foreach (var (uid, count) in counts)
        {
            var line = string.Create(CultureInfo.InvariantCulture, $"{count} {uid}\n");
            if (text.Length + line.Length > MaxPayload)
            {
                payloads.Add(text.ToString());
                text.Clear();
            }
            text.Append(line);
        }
        payloads.Add(text.ToString());
        return payloads;
    }

    private static void Read(string payload, Action<Hint> heard)
    {
        foreach (var line in payload.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            if (line.IndexOf(' ', StringComparison.Ordinal) is > 0 and var space
                && int.TryParse(line.AsSpan(0, space), NumberStyles.None, CultureInfo.InvariantCulture, out var count))
                heard(new Hint(line[(space + 1)..], count));
    }
}
