using System.Text.RegularExpressions;

namespace WebhookOperator.Api.Checks;

/// <summary>
/// The CEL rules of the WebhookSubscription CRD once more, for API servers that drop them and for manifests
/// that never see one. The structure is taken to fit the schema already.
/// </summary>
internal static partial class SubscriptionChecks
{
    /// <summary>Every rule that the object breaks; with defaults applied or not.</summary>
    public static IReadOnlyList<FieldFault> Check(WebhookSubscription subscription)
    {
        if (!subscription.Misfits.IsEmpty)
            return subscription.Misfits;
        var faults = new List<FieldFault>();
        if (subscription.Spec.Endpoint is { } endpoint)
            CheckEndpoint(faults, endpoint);
        if (subscription.Spec.Events is { } events)
            CheckEvents(faults, events);
        if (subscription.Spec.Delivery is { } delivery)
            CheckDelivery(faults, delivery);
        return faults;
    }

    private static void CheckEndpoint(List<FieldFault> faults, EndpointSpec endpoint)
    {
        const string field = "spec.endpoint";
        if (Count(endpoint.Url, endpoint.UrlFrom, endpoint.Service) != 1)
            faults.Add(new(field, "must have exactly one of url, urlFrom and service"));
        faults.CheckUrl($"{field}.url", endpoint.Url, "https://partner.example/hooks",
            "put them into a Secret and name it in endpoint.auth");
        faults.CheckDuration($"{field}.timeout", endpoint.Timeout, "1s", "60s", "15s");
        var plain = endpoint.Url?.StartsWith("http://", StringComparison.Ordinal) == true
            || endpoint.Service is { Scheme: null or "http" };
        if (endpoint.Tls is not null && plain)
            faults.Add(new($"{field}.tls", "must be left out where the receiver is reached by http; use https for the endpoint"));
        if (endpoint.Headers is { } headers)
            CheckHeaders(faults, headers, endpoint.Auth);
        if (endpoint.Auth is { } auth)
            CheckAuth(faults, auth);
    }

    private static void CheckHeaders(List<FieldFault> faults, IReadOnlyList<HeaderSpec> headers, AuthSpec? auth)
    {
        const string field = "spec.endpoint.headers";
        if (headers.DistinctBy(h => h.Name, StringComparer.OrdinalIgnoreCase).Count() != headers.Count)
            faults.Add(new(field, "must name each header once; upper and lower case make no difference"));
        for (var i = 0; i < headers.Count; i++)
        {
            if (Count(headers[i].Value, headers[i].ValueFrom) != 1)
                faults.Add(new($"{field}[{i}]", "must have exactly one of value and valueFrom"));
            faults.CheckHeaderName($"{field}[{i}].name", headers[i].Name);
        }
        if (Count(auth?.Bearer, auth?.Basic, auth?.Oauth2) > 0 && Has(headers, "authorization"))
            faults.Add(new(field, "must not hold the header Authorization, which endpoint.auth sets"));
        if (auth?.ApiKey?.Header is { } keyHeader && Has(headers, keyHeader))
            faults.Add(new(field, "must not hold the header that endpoint.auth.apiKey sets"));
    }

    private static void CheckAuth(List<FieldFault> faults, AuthSpec auth)
    {
        const string field = "spec.endpoint.auth";
        if (Count(auth.Bearer, auth.Basic, auth.ApiKey, auth.Oauth2) > 1)
            faults.Add(new(field, "must have at most one of bearer, basic, apiKey and oauth2"));
        faults.CheckHeaderName($"{field}.apiKey.header", auth.ApiKey?.Header);
        faults.CheckUrl($"{field}.oauth2.tokenUrl", auth.Oauth2?.TokenUrl, "https://login.partner.example/oauth2/token",
            "use clientId and clientSecretRef");
    }

    private static void CheckEvents(List<FieldFault> faults, EventsSpec events)
    {
        faults.CheckPrefixes("spec.events.types", events.Types, "com.acme.order.*");
        faults.CheckPrefixes("spec.events.sources", events.Sources, "/shop/eu/*");
        for (var i = 0; i < events.MatchExpressions?.Count; i++)
        {
            var expression = events.MatchExpressions[i];
            var field = $"spec.events.matchExpressions[{i}]";
            if (expression.Key is { } key && (key == "data" || !ExpressionKey().IsMatch(key)))
                faults.Add(new($"{field}.key",
                    "must be an attribute in lower case, such as subject, or data. and a path, such as data.order.amount"));
            var values = expression.Values ?? [];
            var fault = expression.Operator switch
            {
                "Exists" or "DoesNotExist" when values.Count > 0 =>
                    "must be left out for the operators Exists and DoesNotExist",
                "In" or "NotIn" or "Prefix" or "Suffix" when values.Count == 0 =>
                    "must hold at least one value for the operators In, NotIn, Prefix and Suffix",
                "Gt" or "Gte" or "Lt" or "Lte" when values.Count != 1 || !Number().IsMatch(values[0]) =>
                    "must hold exactly one number, in quotes, for the operators Gt, Gte, Lt and Lte",
                _ => null,
            };
            if (fault is not null)
                faults.Add(new($"{field}.values", fault));
        }
    }

    private static void CheckDelivery(List<FieldFault> faults, DeliverySpec delivery)
    {
        const string field = "spec.delivery";
        for (var i = 0; i < delivery.Retry?.Schedule?.Count; i++)
            faults.CheckDuration($"{field}.retry.schedule[{i}]", delivery.Retry.Schedule[i], "1s", "168h", "5m");
        faults.CheckDuration($"{field}.retry.maxAge", delivery.Retry?.MaxAge, "1s", "720h", "96h");
        if (delivery.CircuitBreaker is { } breaker)
        {
            faults.CheckDuration($"{field}.circuitBreaker.samplingWindow", breaker.SamplingWindow, "1s", "1h", "30s");
            faults.CheckDuration($"{field}.circuitBreaker.breakDuration", breaker.BreakDuration, "1s", "24h", "15s");
            faults.CheckDuration($"{field}.circuitBreaker.maxBreakDuration", breaker.MaxBreakDuration, "1s", "24h", "10m");
            if (KubeDuration.TryParse(breaker.BreakDuration ?? "15s", out var first)
                && KubeDuration.TryParse(breaker.MaxBreakDuration ?? "10m", out var longest) && first > longest)
                faults.Add(new($"{field}.circuitBreaker.breakDuration",
                    "must not be longer than maxBreakDuration, which is 10m unless set"));
        }
        faults.CheckDuration($"{field}.rateLimit.per", delivery.RateLimit?.Per, "1s", "1h", "1s");
        faults.CheckDuration($"{field}.disableAfter", delivery.DisableAfter, "1s", "8784h", "120h");
    }

    private static int Count(params ReadOnlySpan<object?> fields)
    {
        var count = 0;
        foreach (var field in fields)
            count += field is null ? 0 : 1;
        return count;
    }

    private static bool Has(IReadOnlyList<HeaderSpec> headers, string name) =>
        headers.Any(h => string.Equals(h.Name, name, StringComparison.OrdinalIgnoreCase));

    [GeneratedRegex(@"^([a-z0-9]+|data([.][^.]+)+)\z")]
    private static partial Regex ExpressionKey();

    [GeneratedRegex(@"^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?\z")]
    private static partial Regex Number();
}
