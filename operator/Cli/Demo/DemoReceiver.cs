using System.Collections.Concurrent;
using System.Collections.Immutable;

namespace WebhookOperator.Cli.Demo;

/// <summary>
/// What the sample subscriptions send to: it verifies every signature with the keys that the operator generated,
/// and <c>/invoices</c> is down for a while, as receivers are.
/// </summary>
internal sealed class DemoReceiver(TimeProvider time)
{
    /// <summary>In the samples.</summary>
    public const int Port = 9911;

    /// <summary>In the samples, where nobody listens, so that a subscription has a dead receiver.</summary>
    public const int DeadPort = 9912;

    public static readonly TimeSpan Outage = TimeSpan.FromSeconds(4);

    private const string UnreliablePath = "/invoices";

    private readonly ConcurrentDictionary<(string Path, string WebhookId), int> _verified = new();
    private readonly ConcurrentDictionary<(string Path, string WebhookId), string> _refused = new();
    private readonly Lock _gate = new();
    private ImmutableDictionary<string, SignatureCheck> _keys = ImmutableDictionary<string, SignatureCheck>.Empty;
    private DateTimeOffset? _outageBegan;

    /// <summary>Requests whose signature did not hold, with the reason.</summary>
    public IReadOnlyDictionary<(string Path, string WebhookId), string> Refused => _refused;

    /// <summary>The keys of each path; one without keys takes unsigned requests.</summary>
    public void Use(ImmutableDictionary<string, SignatureCheck> keys) => Volatile.Write(ref _keys, keys);

    /// <summary>How often an event arrived at a path, was verified, and was answered with 200.</summary>
    public int VerifiedCount(string path, string webhookId) => _verified.GetValueOrDefault((path, webhookId));

    public ReceiverAnswer Answer(ReceivedRequest request)
    {
        if (request.Path == UnreliablePath && IsDown())
            return new ReceiverAnswer(StatusCodes.Status503ServiceUnavailable, "Closed for maintenance.");
        if (Volatile.Read(ref _keys).TryGetValue(request.Path, out var check) && check.Fault(request, time.GetUtcNow()) is { } fault)
        {
            _refused[(request.Path, request.WebhookId)] = fault;
            return new ReceiverAnswer(StatusCodes.Status401Unauthorized, fault);
        }
        _verified.AddOrUpdate((request.Path, request.WebhookId), 1, (_, count) => count + 1);
        return new ReceiverAnswer(StatusCodes.Status200OK, "Thank you.");
    }

    /// <summary>From the first request on.</summary>
    private bool IsDown()
    {
        lock (_gate)
        {
            _outageBegan ??= time.GetUtcNow();
            return time.GetUtcNow() - _outageBegan < Outage;
        }
    }
}
