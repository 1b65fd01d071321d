using System.Collections.Concurrent;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Http;

/// <summary>
/// The connections and tokens of those endpoints that have TLS settings or an OAuth2 client of their own. Equal
/// settings share them. They last as long as a subscription has these settings, or an attempt uses them: after
/// a change, what is under way ends on the old ones, and everything new begins on new ones.
/// </summary>
internal sealed class Destinations : IDisposable
{
    private readonly ConcurrentDictionary<string, Holding> _held = new();
    private readonly Shared<(TlsSettings Tls, bool IsClusterService), TlsTransport> _transports;
    private readonly Shared<OAuth2Client, TokenSource> _tokens;

    /// <param name="guarded">Connects to what the address guard lets through.</param>
    /// <param name="cluster">Connects to cluster services.</param>
    /// <param name="http">For token endpoints.</param>
    /// <param name="time">For the age of tokens.</param>
    public Destinations(GuardedConnector guarded, GuardedConnector cluster, HttpMessageInvoker http, TimeProvider time)
    {
        _transports = new(key => new TlsTransport(key.IsClusterService ? cluster : guarded, key.Tls));
        _tokens = new(client => new TokenSource(new TokenRequest(client, http, time).AskAsync, time));
    }

    /// <summary>What is there now, for tests that nothing is left over.</summary>
    public (int Transports, int Tokens) Count => (_transports.Count, _tokens.Count);

    /// <summary>To be told of each subscription that is new or has changed, one call at a time.</summary>
    public void Keep(string uid, Endpoint? endpoint)
    {
        var next = endpoint is null or { Tls: null, OAuth2: null } ? null : new Holding(
            endpoint.Tls is null ? null : Transport(endpoint, endpoint.Tls), endpoint.OAuth2 is null ? null : Tokens(endpoint.OAuth2));
        _held.TryRemove(uid, out var before);
        if (next is not null)
            _held[uid] = next;
        before?.Dispose();
    }

    public Shared<(TlsSettings Tls, bool IsClusterService), TlsTransport>.Lease Transport(Endpoint endpoint, TlsSettings tls) =>
        _transports.Take((tls, endpoint.IsClusterService));

    public Shared<OAuth2Client, TokenSource>.Lease Tokens(OAuth2Client client) => _tokens.Take(client);

    public void Dispose()
    {
        foreach (var uid in _held.Keys)
            Keep(uid, null);
    }

    private sealed record Holding(IDisposable? Transport, IDisposable? Tokens) : IDisposable
    {
        public void Dispose()
        {
            Transport?.Dispose();
            Tokens?.Dispose();
        }
    }
}
