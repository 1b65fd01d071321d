using System.Collections.Immutable;
using System.Text;
using WebhookOperator.Api;
using WebhookOperator.Api.Checks;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Status;

namespace WebhookOperator.Reconcile;

/// <summary>What a WebhookSubscription means to the engine, and to its status.</summary>
/// <param name="Subscription">Without an endpoint if that can't be resolved: then deliveries are held.</param>
/// <param name="Routed">False where the spec does not even say which events are wanted.</param>
/// <param name="State">For the status.</param>
/// <param name="Again">When another look is due although nothing has changed, since a certificate expires; null for never.</param>
internal sealed record SubscriptionOutcome(Subscription Subscription, bool Routed, ReconciledState State, DateTimeOffset? Again);

/// <summary>Turns the spec of a subscription, and what it names, into what the engine works with. Pure.</summary>
/// <param name="allowHttp">Whether receivers that are no Service may be reached by plain http.</param>
internal sealed class SubscriptionTranslator(bool allowHttp)
{
    /// <param name="resource">With its defaults.</param>
    /// <param name="around">What it names; null if that could not be read.</param>
    /// <param name="lastFilter">The filter in force, which stays where the spec has none that can be used; may be null.</param>
    /// <param name="now">Keys that have expired by then don't sign, and such certificates are not presented.</param>
    public SubscriptionOutcome Translate(
        WebhookSubscription resource, Surroundings? around, Filter? lastFilter, DateTimeOffset now)
    {
        var spec = resource.Spec;
        var faults = SubscriptionChecks.Check(resource);
        var filter = FaultsUnder("spec.events") ? lastFilter : SpecValues.ToFilter(spec.Events);
        var resolution = new Resolution(around ?? Surroundings.Empty);
        Endpoint? endpoint = null;
        if (faults is [var first, ..])
            resolution.Fail("InvalidSpec", $"{first.Field} {first.Message}.", stalled: true);
        else if (around is null)
            resolution.Fail("ReadFailed", "What the spec names could not be read; it is tried again.", stalled: false);
        else
            endpoint = Resolve(resource, resolution, now);

        var subscription = new Subscription
        {
            Uid = resource.Metadata.Uid,
            Name = new NamespacedName(resource.Metadata.NamespaceProperty, resource.Metadata.Name),
            Generation = resource.Metadata.Generation ?? 0,
            Filter = filter ?? Filter.All,
            Endpoint = endpoint,
            Suspended = spec.Suspend == true,
            Delivery = FaultsUnder("spec.delivery") ? new DeliveryPolicy() : SpecValues.ToPolicy(spec.Delivery),
        };
        var state = new ReconciledState(
            subscription.Uid, subscription.Generation, Conditions(subscription, resolution), endpoint is null ? null : StatusComposer.Display(endpoint.Url));
        return new SubscriptionOutcome(subscription, filter is not null, state, resolution.Again);

        bool FaultsUnder(string field) => faults.Any(fault => fault.Field.StartsWith(field, StringComparison.Ordinal));
    }

    /// <summary>Null if there is an obstacle, which the resolution then holds.</summary>
    private Endpoint? Resolve(WebhookSubscription resource, Resolution resolution, DateTimeOffset now)
    {
        var spec = resource.Spec;
        var endpoint = spec.Endpoint ?? new EndpointSpec();
        var url = Url(resource, resolution);
        var headers = Headers(endpoint, resolution);
        var oauth2 = DestinationAuth.OAuth2(endpoint.Auth?.Oauth2, resolution, allowHttp);
        var tls = DestinationAuth.Tls(endpoint.Tls, url, resolution, now);
        var keys = SigningKeys(spec.Signing?.SecretRef?.Name, resolution, now);
        if (url is null || resolution.Obstacle is not null)
            return null;
        return new Endpoint
        {
            Url = url,
            IsClusterService = endpoint.Service is not null,
            Headers = headers,
            OAuth2 = oauth2,
            Tls = tls,
            SigningKeys = keys,
            Format = Enum.TryParse<PayloadFormat>(spec.Payload?.Format, out var format) ? format : PayloadFormat.CloudEvents,
            Timeout = SpecValues.Duration(endpoint.Timeout, TimeSpan.FromSeconds(15)),
        };
    }

    private Uri? Url(WebhookSubscription resource, Resolution resolution)
    {
        var endpoint = resource.Spec.Endpoint ?? new EndpointSpec();
        if (endpoint.Service is { } service)
        {
            var scheme = service.Scheme ?? "http";
            var port = service.Port ?? (scheme == "https" ? 443 : 80);
            return new Uri($"{scheme}://{service.Name}.{resource.Metadata.NamespaceProperty}.svc:{port}{service.Path ?? "/"}");
        }

        var reference = endpoint.UrlFrom?.SecretKeyRef;
        var text = reference is null ? endpoint.Url : resolution.Text(reference)?.Trim();
        if (text is null)
            return null;
        // The messages must not repeat the URL: one in a Secret is a secret.
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || (url.Scheme != Uri.UriSchemeHttps && url.Scheme != Uri.UriSchemeHttp)
            || url.UserInfo.Length > 0 || url.Fragment.Length > 0)
            Fail("InvalidUrl", "must be an absolute https URL without user name, password and fragment, such as https://partner.example/hooks.");
        else if (url.Scheme != Uri.UriSchemeHttps && !allowHttp)
            Fail("InsecureUrl", "must be https; plain http is for endpoints of the kind service, or if the operator runs with --allow-http.");
        else
            return url;
        return null;

        void Fail(string reason, string message)
        {
            if (reference is null)
                resolution.Fail(reason, $"spec.endpoint.url {message}", stalled: true);
            else
                resolution.FailSecret(reason, $"The URL in the key {reference.Key} of the Secret {reference.Name} {message}", stalled: true);
        }
    }

    private static ImmutableArray<KeyValuePair<string, string>> Headers(EndpointSpec endpoint, Resolution resolution)
    {
        var headers = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>();
        foreach (var header in endpoint.Headers ?? [])
            Add(header.Name!, header.ValueFrom?.SecretKeyRef is { } reference ? resolution.HeaderValue(reference) : header.Value);
        if (endpoint.Auth?.Bearer?.TokenSecretRef is { } token)
            Add("Authorization", resolution.HeaderValue(token) is { } value ? $"Bearer {value}" : null);
        if (endpoint.Auth?.ApiKey is { ValueSecretRef: { } key } apiKey)
            Add(apiKey.Header!, resolution.HeaderValue(key));
        if (endpoint.Auth?.Basic?.SecretRef?.Name is { } basic)
        {
            var user = resolution.Text(new SecretKeyReference { Name = basic, Key = "username" });
            var password = resolution.Text(new SecretKeyReference { Name = basic, Key = "password" });
            if (user is not null && password is not null)
                Add("Authorization", "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}")));
        }
        return headers.ToImmutable();

        void Add(string name, string? value)
        {
            if (value is not null)
                headers.Add(new(name, value));
        }
    }

    private static ImmutableArray<SigningKey> SigningKeys(string? name, Resolution resolution, DateTimeOffset now)
    {
        if (name is null)
            return [];
        if (resolution.Around.Signing is not { } signing)
        {
            resolution.FailSecret("WebhookSecretNotFound", $"The WebhookSecret {name} does not exist.", stalled: false);
            return [];
        }
        // A key that was removed must not sign on from the copy of it.
        if (signing.Spec.Source?.SecretKeyRef is { } reference && resolution.Text(reference) is null)
            return [];
        if (!resolution.Around.Secrets.TryGetValue(KeySecret.NameFor(name), out var secret)
            || !KeySecret.IsOwnedBy(secret, signing) || !KeySecret.TryRead(secret, out var keys, out _))
        {
            resolution.FailSecret("SigningKeysNotReady",
                $"The WebhookSecret {name} has no keys yet; its conditions say why.", stalled: false);
            return [];
        }
        return [.. keys.ActiveAt(now).Select(key => key.Key)];
    }

    private static ImmutableArray<ConditionDraft> Conditions(Subscription subscription, Resolution resolution)
    {
        var conditions = ImmutableArray.CreateBuilder<ConditionDraft>();
        var obstacle = resolution.Obstacle;
        conditions.Add(obstacle is null
            ? new(ConditionTypes.Ready, true, "Accepted", "The spec is accepted and served.")
            : new(ConditionTypes.Ready, false, obstacle.Reason, $"{obstacle.Message} Deliveries are held meanwhile."));
        if (obstacle is not null)
        {
            conditions.Add(new(
                obstacle.Stalled ? ConditionTypes.Stalled : ConditionTypes.Reconciling, true, obstacle.Reason, obstacle.Message));
        }
        conditions.Add(resolution.SecretObstacle is { } missing
            ? new(ConditionTypes.SecretResolved, false, missing.Reason, missing.Message)
            : new(ConditionTypes.SecretResolved, true, "Resolved", "Every Secret that the spec names is there and usable."));
        conditions.Add(subscription.Suspended
            ? new(ConditionTypes.Suspended, true, "SuspendedBySpec", "spec.suspend is true: deliveries are held until it is false.")
            : new(ConditionTypes.Suspended, false, "NotSuspended", "spec.suspend is not set."));
        return conditions.ToImmutable();
    }
}
