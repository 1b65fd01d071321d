using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;

namespace WebhookOperator.Tests.Testing;

/// <summary>
/// The token endpoint of an OAuth 2.0 authorization server: gives <c>token-1</c>, <c>token-2</c> and so on to the
/// client that it knows.
/// </summary>
internal sealed class TokenServer : IAsyncDisposable
{
    public const string ClientId = "acme shop";

    private readonly ConcurrentQueue<string> _issued = new();
    private int _count;

    private TokenServer()
    {
    }

    public Receiver Receiver { get; private set; } = null!;

    public Uri Url => new(Receiver.Url, "/oauth2/token");

    /// <summary>With characters that Basic can't carry as they are.</summary>
    public string ClientSecret { get; set; } = "s3cr:t/+%ä&";

    /// <summary>Taken too, while clients change from one to the other.</summary>
    public string? FormerClientSecret { get; set; }

    /// <summary>Credentials are taken from the header Authorization.</summary>
    public bool TakesBasic { get; set; } = true;

    /// <summary>Credentials are taken from the body.</summary>
    public bool TakesBody { get; set; }

    /// <summary>The member expires_in as JSON; left out if null.</summary>
    public string? ExpiresIn { get; set; } = "3600";

    /// <summary>In place of a token, for the requests of a client that is known; null to give one.</summary>
    public Answer? Instead { get; set; }

    /// <summary>All tokens so far.</summary>
    public IReadOnlyCollection<string> Issued => _issued;

    /// <summary>How often it was asked.</summary>
    public int Asked => Receiver.Requests.Count;

    public static async Task<TokenServer> StartAsync(X509Certificate2? certificate = null)
    {
        var server = new TokenServer();
        server.Receiver = await Receiver.StartAsync(server.AnswerAsync, certificate);
        return server;
    }

    /// <summary>What a request to it asks for.</summary>
    public static Dictionary<string, string> Form(Received request) =>
        QueryHelpers.ParseQuery(Encoding.UTF8.GetString(request.Body)).ToDictionary(field => field.Key, field => field.Value.ToString());

    public ValueTask DisposeAsync() => Receiver.DisposeAsync();

    private Task AnswerAsync(HttpContext context, Received request, CancellationToken ended)
    {
        if (!Knows(request))
            return Answers.Status(401, """{"error":"invalid_client","error_description":"Client authentication failed."}""")(context, request, ended);
        if (Instead is { } instead)
            return instead(context, request, ended);
        var token = $"token-{Interlocked.Increment(ref _count)}";
        _issued.Enqueue(token);
        var expires = ExpiresIn is null ? "" : $",\"expires_in\":{ExpiresIn}";
        return Answers.Status(200, $$"""{"access_token":"{{token}}","token_type":"Bearer"{{expires}}}""", ("content-type", "application/json"))(
            context, request, ended);
    }

    private bool Knows(Received request)
    {
        if (request.Header("authorization") is { } header)
        {
            var parts = Encoding.ASCII.GetString(Convert.FromBase64String(header["Basic ".Length..])).Split(':');
            return TakesBasic && parts.Length == 2 && Knows(WebUtility.UrlDecode(parts[0]), WebUtility.UrlDecode(parts[1]));
        }
        var form = Form(request);
        return TakesBody && Knows(form.GetValueOrDefault("client_id"), form.GetValueOrDefault("client_secret"));
    }

    private bool Knows(string? id, string? secret) =>
        id == ClientId && secret is not null && (secret == ClientSecret || secret == FormerClientSecret);
}
