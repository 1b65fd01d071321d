using System.Collections.Immutable;
using WebhookOperator.Api;

namespace WebhookOperator.Cli;

/// <summary>
/// One thing that a spec makes from Secrets, so that it can be tried for itself: what is wrong with it then has a
/// place, and does not hide what is wrong with others.
/// </summary>
/// <param name="Field">The path of the field that a fault is at.</param>
/// <param name="Endpoint">Has nothing but this.</param>
/// <param name="Keys">What it is made from; the field names their Secret.</param>
internal sealed record EndpointPart(string Field, EndpointSpec Endpoint, ImmutableArray<SecretKeyReference> Keys)
{
    private const string Root = "spec.endpoint";

    /// <summary>Stands for the receiver where that is not what is tried.</summary>
    private static readonly EndpointSpec AnyReceiver = new() { Url = "https://receiver.example/" };

    /// <param name="endpoint">As the checks let it through.</param>
    public static IEnumerable<EndpointPart> Of(EndpointSpec endpoint)
    {
        yield return Receiver(endpoint);
        for (var i = 0; i < endpoint.Headers?.Count; i++)
        {
            var header = endpoint.Headers[i];
            if (header.ValueFrom?.SecretKeyRef is { } value)
                yield return Of($"{Root}.headers[{i}].valueFrom.secretKeyRef", AnyReceiver with { Headers = [header] }, value);
        }
        if (endpoint.Auth is { } auth && Credential(auth) is { } credential)
            yield return credential;
        if (endpoint.Tls?.CaSecretRef is { } authorities)
            yield return Of($"{Root}.tls.caSecretRef", AnyReceiver with { Tls = new TlsSpec { CaSecretRef = authorities } }, authorities);
        if (endpoint.Tls?.ClientCertificateSecretRef is { } client)
        {
            yield return Of($"{Root}.tls.clientCertificateSecretRef", AnyReceiver with { Tls = new TlsSpec { ClientCertificateSecretRef = client } },
                KeyOf(client, "tls.crt"), KeyOf(client, "tls.key"));
        }
    }

    /// <summary>With TLS settings if the spec has some, since not every receiver may have them.</summary>
    private static EndpointPart Receiver(EndpointSpec endpoint)
    {
        var alone = new EndpointSpec
        {
            Url = endpoint.Url,
            UrlFrom = endpoint.UrlFrom,
            Service = endpoint.Service,
            Tls = endpoint.Tls is { CaSecretRef: null, ClientCertificateSecretRef: null } or null ? endpoint.Tls
                : new TlsSpec { ServerName = endpoint.Tls.ServerName ?? "receiver.example" },
        };
        return endpoint.UrlFrom?.SecretKeyRef is { } url ? Of($"{Root}.urlFrom.secretKeyRef", alone, url)
            : Of(endpoint.Service is null ? $"{Root}.url" : $"{Root}.service", alone);
    }

    private static EndpointPart? Credential(AuthSpec auth)
    {
        const string field = $"{Root}.auth";
        var alone = AnyReceiver with { Auth = auth };
        return auth switch
        {
            { Bearer.TokenSecretRef: { } token } => Of($"{field}.bearer.tokenSecretRef", alone, token),
            { ApiKey.ValueSecretRef: { } value } => Of($"{field}.apiKey.valueSecretRef", alone, value),
            { Basic.SecretRef: { } login } => Of($"{field}.basic.secretRef", alone, KeyOf(login, "username"), KeyOf(login, "password")),
            { Oauth2.ClientSecretRef: { } secret } => Of($"{field}.oauth2.clientSecretRef", alone, secret),
            _ => null,
        };
    }

    private static EndpointPart Of(string field, EndpointSpec endpoint, params ImmutableArray<SecretKeyReference> keys) =>
        new(field, endpoint, keys);

    private static SecretKeyReference KeyOf(LocalReference secret, string key) => new() { Name = secret.Name, Key = key };
}
