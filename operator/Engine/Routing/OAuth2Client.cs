namespace WebhookOperator.Engine.Routing;

/// <summary>
/// What an access token is asked for with: the client credentials grant of OAuth 2.0 (RFC 6749, section 4.4).
/// Subscriptions with equal ones share a token.
/// </summary>
/// <param name="TokenUrl">The token endpoint of the authorization server.</param>
/// <param name="ClientId">Who asks.</param>
/// <param name="ClientSecret">Proves it.</param>
/// <param name="Scope">Space-separated; null to leave the choice to the server.</param>
/// <param name="Audience">Null where the server asks for none.</param>
internal sealed record OAuth2Client(Uri TokenUrl, string ClientId, string ClientSecret, string? Scope, string? Audience)
{
    /// <summary>Without the secret, wherever it is printed.</summary>
    public override string ToString() => $"{ClientId} at {TokenUrl.Authority}";
}
