using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using WebhookOperator.Api;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Reconcile;

/// <summary>
/// Folders of tests/Golden with resources and what becomes of them; what is left out is the default. With UPDATE_GOLDEN=1 in the
/// environment the second is written anew, to be looked over in the diff.
/// </summary>
public sealed class GoldenTests
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter() },
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly string Golden = Path.Combine(Repository.Root, "tests", "Golden");

    public static TheoryData<string> Cases() => [.. Directory.EnumerateDirectories(Golden)
        .Where(path => File.Exists(Path.Combine(path, "resources.yaml"))).Select(path => Path.GetFileName(path)).Order()];

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Resources_become_routes(string name)
    {
        var folder = Path.Combine(Golden, name);
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("resources.yaml", await File.ReadAllTextAsync(Path.Combine(folder, "resources.yaml"), TestContext.Current.CancellationToken));
        await harness.StartAsync();
        Assert.Empty(harness.Source.Faults);

        var routes = harness.Told.Values
            .OrderBy(subscription => subscription.Name.Name, StringComparer.Ordinal)
            .Select(subscription => Project(harness, subscription));
        var actual = JsonSerializer.Serialize(routes, Json) + "\n";

        var file = Path.Combine(folder, "routes.json");
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
            await File.WriteAllTextAsync(file, actual, TestContext.Current.CancellationToken);
        Assert.Equal(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken), actual);
    }

    private static object Project(ReconcileHarness harness, Subscription subscription)
    {
        Assert.True(harness.Source.TryGetSubscription(subscription.Name.Namespace, subscription.Name.Name, out var resource));
        Assert.Equal(resource.Metadata.Uid, subscription.Uid);
        return new
        {
            Name = subscription.Name.ToString(),
            Routed = harness.RoutedIn(subscription.Name.Namespace)?.Contains(subscription.Name.Name),
            subscription.Generation,
            subscription.Suspended,
            Endpoint = subscription.Endpoint is not { } endpoint ? null : new
            {
                Url = endpoint.Url.AbsoluteUri,
                endpoint.IsClusterService,
                Headers = endpoint.Headers.Select(header => $"{header.Key}: {header.Value}"),
                endpoint.OAuth2,
                Tls = endpoint.Tls is not { } tls ? null : new
                {
                    Authorities = Subjects(tls.Authorities),
                    Certificate = Subjects(tls.Certificate),
                    HasKey = tls.Key is not null,
                    tls.ServerName,
                },
                SigningKeys = endpoint.SigningKeys.Select(key => key.Algorithm),
                endpoint.Format,
                endpoint.Timeout,
            },
            Filter = Unless(Filter.All, subscription.Filter),
            Delivery = Unless(new DeliveryPolicy(), subscription.Delivery),
            Status = new
            {
                resource.Status?.Endpoint,
                Conditions = resource.Status?.Conditions?
                    .Where(condition => condition.Type is not (ConditionTypes.EndpointHealthy or ConditionTypes.Disabled))
                    .Select(condition => $"{condition.Type}={condition.Status} {condition.Reason}: {condition.Message}"),
            },
        };
    }

    private static IEnumerable<string>? Subjects(string? pem)
    {
        if (pem is null)
            return null;
        Assert.True(PemCertificates.TryRead(pem, out var certificates, out var error), error);
        return certificates.Select(certificate => certificate.Subject);
    }

    private static object? Unless<T>(T common, T value) =>
        JsonSerializer.Serialize(common, Json) == JsonSerializer.Serialize(value, Json) ? null : value;
}
