using System.Security.Cryptography;
using System.Text;
using k8s.Models;
using Microsoft.Extensions.Caching.Memory;
using WebhookOperator.Api;
using WebhookOperator.Engine.Ingest;
using WebhookOperator.Kube;

namespace WebhookOperator.Cluster;

/// <summary>
/// Who may call in a cluster: whoever sends a ServiceAccount's token for the audience <see cref="Audience"/>
/// (TokenReview) and is allowed by RBAC (SubjectAccessReview). Answers are kept for a while, so that a busy
/// publisher costs the API server two requests a minute.
/// </summary>
/// <param name="calls">To the API server.</param>
/// <param name="lifetime">How long an answer is kept: a right that is taken away lives on for so long.</param>
/// <param name="logger">Where reviews that failed are told.</param>
internal sealed partial class CallerReview(ApiCalls calls, TimeSpan lifetime, ILogger<CallerReview> logger) : IDisposable
{
    public const string Audience = "webhook-operator";

    /// <summary>Answers that are kept. A flood of made-up tokens must not take the memory.</summary>
    private const int MaxAnswers = 20_000;

    /// <summary>For an operator that runs.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private readonly MemoryCache _answers = new(new MemoryCacheOptions { SizeLimit = MaxAnswers });

    public async ValueTask<Problem?> AuthorizeAsync(HttpContext context, string @namespace, ApiAccess access)
    {
        var header = context.Request.Headers.Authorization.ToString();
        if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) || header.Length == 7)
        {
            return Unauthorized($"Send a ServiceAccount's token for the audience {Audience} as 'Authorization: Bearer TOKEN'; "
                + $"a pod gets one from a projected volume, a person from: kubectl create token SERVICEACCOUNT --audience {Audience}.");
        }
        try
        {
            var caller = await CallerAsync(header[7..].Trim());
            if (caller.User is not { } user)
                return Unauthorized($"The API server does not take the token: {caller.Fault}. It must be one for the audience {Audience}, and not expired.");
            var (verb, subresource) = access switch
            {
                ApiAccess.Publish => ("create", "events"),
                ApiAccess.Read => ("get", "deliveries"),
                ApiAccess.Redeliver => ("create", "deliveries"),
                _ => throw new ArgumentOutOfRangeException(nameof(access), access, null),
            };
            return await MayAsync(user, @namespace, verb, subresource) ? null : new Problem(StatusCodes.Status403Forbidden,
                $"{user.Username} may not {verb} {WebhookSubscription.KubePlural}/{subresource} of {ApiGroup.Name} in the namespace {@namespace}; "
                + "a Role with that verb and resource, bound to it there, allows it.");
        }
        catch (Exception e) when (e is KubeApiException or HttpRequestException or TimeoutException)
        {
            ReviewFailed(e.Message);
            return new Problem(StatusCodes.Status503ServiceUnavailable, "The API server can't tell right now who you are and what you may do. Try again later.")
            {
                RetryAfter = RetryAfter,
            };
        }
    }

    public void Dispose() => _answers.Dispose();

    private Task<Caller> CallerAsync(string token) => KeptAsync(
        "token:" + Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(token))),
        async () =>
        {
            var review = await PostAsync(Kinds.TokenReviews, new V1TokenReview
            {
                ApiVersion = Kinds.TokenReviews.ApiVersion,
                Kind = Kinds.TokenReviews.Kind,
                Spec = new V1TokenReviewSpec { Token = token, Audiences = [Audience] },
            });
            var status = review.Status;
            if (status?.Authenticated != true || status.User is null)
                return new Caller(null, status?.Error is { Length: > 0 } error ? error : "it is not valid");
            // An authenticator that knows no audiences would take a token that was meant for the API server itself.
            return status.Audiences?.Contains(Audience) == true
                ? new Caller(status.User, null)
                : new Caller(null, $"it is not for the audience {Audience}");
        });

    private Task<bool> MayAsync(V1UserInfo user, string @namespace, string verb, string subresource) => KeptAsync(
        // The groups and the rest of a user's attributes follow from the uid, but for what a webhook authenticator adds.
        $"access:{verb} {subresource} {@namespace} {user.Username} {user.Uid} {string.Join(',', user.Groups ?? [])}",
        async () =>
        {
            var review = await PostAsync(Kinds.AccessReviews, new V1SubjectAccessReview
            {
                ApiVersion = Kinds.AccessReviews.ApiVersion,
                Kind = Kinds.AccessReviews.Kind,
                Spec = new V1SubjectAccessReviewSpec
                {
                    User = user.Username,
                    Uid = user.Uid,
                    Groups = user.Groups,
                    Extra = user.Extra,
                    ResourceAttributes = new V1ResourceAttributes
                    {
                        Group = ApiGroup.Name,
                        Version = ApiGroup.Version,
                        Resource = WebhookSubscription.KubePlural,
                        Subresource = subresource,
                        NamespaceProperty = @namespace,
                        Verb = verb,
                    },
                },
            });
            return review.Status?.Allowed == true;
        });

    private Task<T> PostAsync<T>(KubeResource resource, T review) =>
        calls.SendAsync<T>(HttpMethod.Post, resource.Path(), KubeJson.Write(review), ApiCalls.Json, CallLimit, CancellationToken.None);

    /// <summary>Callers that come at the same time share one request; a failure is not kept.</summary>
    private async Task<T> KeptAsync<T>(string key, Func<Task<T>> ask)
    {
        var answer = _answers.GetOrCreate(key, entry =>
        {
            entry.Size = 1;
            entry.AbsoluteExpirationRelativeToNow = lifetime;
            return new Lazy<Task<T>>(ask);
        })!;
        try
        {
            return await answer.Value;
        }
        catch
        {
            if (_answers.TryGetValue(key, out var kept) && ReferenceEquals(kept, answer))
                _answers.Remove(key);
            throw;
        }
    }

    private static Problem Unauthorized(string detail) => new(StatusCodes.Status401Unauthorized, detail);

    [LoggerMessage(LogLevel.Warning, "A caller of the HTTP API could not be reviewed: {Fault}")]
    private partial void ReviewFailed(string fault);

    /// <param name="User">Null if the token is not taken.</param>
    /// <param name="Fault">Why not.</param>
    private sealed record Caller(V1UserInfo? User, string? Fault);
}
