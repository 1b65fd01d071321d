using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Http;

/// <summary>
/// Asks a token endpoint for an access token by the client credentials grant (RFC 6749, section 4.4). The client
/// names itself by HTTP Basic, which every server must take (section 2.3.1). Some don't: where the first answer
/// refuses the client, it is asked once more with the credentials in the body, and the way that brought a token
/// is kept.
/// </summary>
/// <param name="client">Who asks, and where.</param>
/// <param name="http">Behind the address guard.</param>
/// <param name="time">For the time limit.</param>
internal sealed class TokenRequest(OAuth2Client client, HttpMessageInvoker http, TimeProvider time)
{
    /// <summary>For asking, both ways together.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>Where the server does not say how long a token lives.</summary>
    public static readonly TimeSpan DefaultLifetime = TimeSpan.FromMinutes(5);

    /// <summary>Shorter than the wait before a first retry by default, so that each retry asks anew.</summary>
    public static readonly TimeSpan FailureKept = TimeSpan.FromSeconds(3);

    private const int MaxAnswerBytes = 64 * 1024;
    private const double ShortestLifetimeSeconds = 10;
    private const double LongestLifetimeSeconds = 24 * 3600;
    private const double LongestMarginSeconds = 60;
    private static readonly TimeSpan LongestFailureKept = TimeSpan.FromMinutes(10);

    private readonly string _where = $"The token endpoint {client.TokenUrl.Authority}";

    /// <summary>Whether the credentials go into the body; null until a token has come.</summary>
    private bool? _inBody;

    /// <summary>One call at a time.</summary>
    /// <exception cref="OperationCanceledException">Stopped.</exception>
    public async Task<TokenAnswer> AskAsync(CancellationToken stop)
    {
        using var limit = new CancellationTokenSource(Limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop, limit.Token);
        try
        {
            var (answer, clientRefused) = await AskAsync(_inBody ?? false, either.Token);
            if (answer.Succeeded)
            {
                _inBody ??= false;
            }
            else if (clientRefused && _inBody is null && (await AskAsync(inBody: true, either.Token)).Answer is { Succeeded: true } other)
            {
                _inBody = true;
                return other;
            }
            return answer;
        }
        catch (HttpRequestException e) when (!either.IsCancellationRequested)
        {
            return Failed($"No access token could be fetched. {SendFailure.Of(e, client.TokenUrl).Message}");
        }
        catch (Exception e) when (e is OperationCanceledException or HttpRequestException or IOException)
        {
            stop.ThrowIfCancellationRequested();
            return Failed(limit.IsCancellationRequested
                ? $"{_where} did not answer within {Limit.TotalSeconds} s."
                : $"{_where} broke off its answer.");
        }
    }

    private async Task<(TokenAnswer Answer, bool ClientRefused)> AskAsync(bool inBody, CancellationToken cancellation)
    {
        using var request = NewRequest(inBody);
        using var response = await http.SendAsync(request, cancellation);
        var status = $"{(int)response.StatusCode} {SendFailure.Shorten(response.ReasonPhrase)}".TrimEnd();
        if (await ReadAsync(response, cancellation) is not { } body)
            return (Failed($"{_where} answered {status} and more than {MaxAnswerBytes / 1024} KiB, which is no token."), false);
        using var json = Parse(body);
        if (response.IsSuccessStatusCode)
        {
            return (json is null
                ? Failed($"{_where} answered {status} with {Quote(response.Content.Headers.ContentType?.MediaType) ?? "no content type"}, which is no token: it must be a JSON object.")
                : Read(json.RootElement), false);
        }
        if ((int)response.StatusCode is >= 300 and < 400)
            return (Failed($"{_where} answered {status}; redirects are not followed, so tokenUrl must be the final URL."), false);
        var error = Quote(Text(json, "error"));
        var description = Quote(Text(json, "error_description"));
        var refused = response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.BadRequest
            && error is not ("invalid_scope" or "unauthorized_client" or "unsupported_grant_type");
        var said = error is null ? "" : description is null ? $": {error}" : $": {error} ({description.TrimEnd('.')})";
        return (TokenAnswer.Failed($"{_where} answered {status}{said}.", KeptFor(response.Headers.RetryAfter)), refused);
    }

    private HttpRequestMessage NewRequest(bool inBody)
    {
        List<KeyValuePair<string, string>> form = [new("grant_type", "client_credentials")];
        if (client.Scope is not null)
            form.Add(new("scope", client.Scope));
        if (client.Audience is not null)
            form.Add(new("audience", client.Audience));
        if (inBody)
            form.AddRange([new("client_id", client.ClientId), new("client_secret", client.ClientSecret)]);
        var request = HttpTransport.NewRequest(client.TokenUrl, new FormUrlEncodedContent(form));
        request.Headers.TryAddWithoutValidation("user-agent", HttpTransport.UserAgent);
        request.Headers.TryAddWithoutValidation("accept", "application/json");
        if (!inBody)
        {
            // Encoded as a form's values are, before it becomes Basic (section 2.3.1).
            var credentials = $"{WebUtility.UrlEncode(client.ClientId)}:{WebUtility.UrlEncode(client.ClientSecret)}";
            request.Headers.TryAddWithoutValidation("authorization", $"Basic {Convert.ToBase64String(Encoding.ASCII.GetBytes(credentials))}");
        }
        return request;
    }

    /// <summary>RFC 6749, section 5.1. A server that leaves out token_type means Bearer.</summary>
    private TokenAnswer Read(JsonElement json)
    {
        if (Text(json, "token_type") is { } type && !type.Equals("Bearer", StringComparison.OrdinalIgnoreCase))
            return Failed($"{_where} gave a token of the type {Quote(type) ?? "(unprintable)"}; only Bearer can be sent.");
        if (Text(json, "access_token") is not { Length: > 0 } token)
            return Failed($"{_where} answered with JSON that has no access_token.");
        if (!token.All(c => c is > ' ' and <= '~'))
            return Failed($"{_where} gave an access_token that can't be sent in a header: it must be visible ASCII characters.");
        return TokenAnswer.Of(token, KeptFor(json));
    }

    /// <summary>
    /// Until a tenth of its life is left, and at most a minute: what is sent now must still be valid when it
    /// arrives. Never below what keeps attempts from asking one after the other.
    /// </summary>
    private static TimeSpan KeptFor(JsonElement json)
    {
        var lifetime = DefaultLifetime.TotalSeconds;
        if (json.TryGetProperty("expires_in", out var member)
            && (member.ValueKind == JsonValueKind.Number ? member.TryGetDouble(out var seconds)
                : double.TryParse(Text(json, "expires_in"), System.Globalization.CultureInfo.InvariantCulture, out seconds)))
            lifetime = double.Clamp(seconds, ShortestLifetimeSeconds, LongestLifetimeSeconds);
        return TimeSpan.FromSeconds(lifetime - Math.Min(lifetime / 10, LongestMarginSeconds));
    }

    private TimeSpan KeptFor(RetryConditionHeaderValue? retryAfter)
    {
        var asked = retryAfter switch
        {
            { Delta: { } delta } => delta,
            { Date: { } date } => date - time.GetUtcNow(),
            _ => TimeSpan.Zero,
        };
        return asked <= FailureKept ? FailureKept : asked < LongestFailureKept ? asked : LongestFailureKept;
    }

    private static TokenAnswer Failed(string fault) => TokenAnswer.Failed(fault, FailureKept);

    /// <summary>Null if it is longer than the limit; then no more than that was read.</summary>
    private static async Task<byte[]?> ReadAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        using var stream = await response.Content.ReadAsStreamAsync(cancellation);
        var buffer = new byte[MaxAnswerBytes + 1];
        var length = await stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation);
        return length > MaxAnswerBytes ? null : buffer[..length];
    }

    private static JsonDocument? Parse(byte[] body)
    {
        try
        {
            var json = JsonDocument.Parse(body);
            if (json.RootElement.ValueKind == JsonValueKind.Object)
                return json;
            json.Dispose();
        }
        catch (JsonException)
        {
            // An error page, most likely.
        }
        return null;
    }

    private static string? Text(JsonDocument? json, string member) => json is null ? null : Text(json.RootElement, member);

    private static string? Text(JsonElement json, string member)
    {
        try
        {
            return json.TryGetProperty(member, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null; // Half a surrogate pair, which stands for no text.
        }
    }

    /// <summary>What the server says in words, as long as it is fit to be shown: a server may repeat what it was sent.</summary>
    private string? Quote(string? text) =>
        string.IsNullOrWhiteSpace(text) || text.Any(char.IsControl) || text.Contains(client.ClientSecret, StringComparison.Ordinal)
        || text.Contains(WebUtility.UrlEncode(client.ClientSecret), StringComparison.Ordinal) || text.Contains("Basic ", StringComparison.OrdinalIgnoreCase)
            ? null
            : SendFailure.Shorten(text);
}
