using System.Net;
using System.Net.Http.Headers;
using System.Text;
using k8s;
using k8s.Authentication;

namespace WebhookOperator.Kube;

/// <summary>
/// The credentials of a configuration, read anew when the API server no longer takes them: from the token file that
/// the kubelet rotates, the kubeconfig that a login has rewritten, the command that it names. For any thread.
/// </summary>
/// <param name="first">As it was read at the start.</param>
/// <param name="read">Reads it again.</param>
internal sealed class RenewableToken(
    KubernetesClientConfiguration first, Func<KubernetesClientConfiguration> read, TimeProvider time) : ITokenProvider, IDisposable
{
    /// <summary>A refused token is not asked for again more often than this: it may be the rights of the user, or a command that is slow.</summary>
    private static readonly TimeSpan MinAge = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _one = new(1);
    private volatile Source _source = Of(first);
    private long _renewed = long.MinValue;

    /// <summary>False where the client authenticates by its certificate alone.</summary>
    public bool IsNeeded { get; } = Of(first) is not { Provider: null, Fixed: null };

    public async Task<AuthenticationHeaderValue> GetAuthenticationHeaderAsync(CancellationToken cancellation) =>
        await _source.HeaderAsync(cancellation);

    /// <summary>The credentials again, if they may have changed since those were refused; null if not.</summary>
    /// <exception cref="HttpRequestException">They can't be read.</exception>
    public async Task<AuthenticationHeaderValue?> RenewAsync(AuthenticationHeaderValue? refused, CancellationToken cancellation)
    {
        if (!IsNeeded)
            return null;
        await _one.WaitAsync(cancellation);
        try
        {
            if (_renewed == long.MinValue || time.GetElapsedTime(_renewed) >= MinAge)
            {
                _renewed = time.GetTimestamp();
                // A command may take a while.
                _source = Of(await Task.Run(read, cancellation));
            }
            var header = await _source.HeaderAsync(cancellation);
            return header.Equals(refused) ? null : header;
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            throw new HttpRequestException($"the API server no longer accepts the credentials (401), and fresh ones can't be read: {e.Message}", e);
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose() => _one.Dispose();

    private static Source Of(KubernetesClientConfiguration configuration) => new(
        configuration.TokenProvider,
        !string.IsNullOrEmpty(configuration.AccessToken) ? new AuthenticationHeaderValue("Bearer", configuration.AccessToken)
        : !string.IsNullOrEmpty(configuration.Username)
            ? new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{configuration.Username}:{configuration.Password}")))
        : null);

    private sealed record Source(ITokenProvider? Provider, AuthenticationHeaderValue? Fixed)
    {
        public async ValueTask<AuthenticationHeaderValue> HeaderAsync(CancellationToken cancellation) =>
            Provider is not null ? await Provider.GetAuthenticationHeaderAsync(cancellation) : Fixed!;
    }
}

/// <summary>Sends a request again, once, with fresh credentials, when the API server answers 401.</summary>
internal sealed class UnauthorizedRetry(RenewableToken token) : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        var response = await base.SendAsync(request, cancellation);
        if (response.StatusCode != HttpStatusCode.Unauthorized
            || await token.RenewAsync(request.Headers.Authorization, cancellation) is not { } fresh)
            return response;
        response.Dispose();
        // What is sent to an API server is kept in memory, so it can be sent again.
        request.Headers.Authorization = fresh;
        return await base.SendAsync(request, cancellation);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            token.Dispose();
        base.Dispose(disposing);
    }
}
