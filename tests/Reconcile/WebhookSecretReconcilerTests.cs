using System.Diagnostics.CodeAnalysis;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Prometheus;
using WebhookOperator.Api;
using WebhookOperator.Kube;
using WebhookOperator.Reconcile;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Tests.Reconcile;

public sealed class WebhookSecretReconcilerTests
{
    private readonly Instruments _instruments = new(Metrics.NewCustomRegistry());
    private readonly OneSecret _source = new();
    private readonly WebhookSecretReconciler _reconciler;

    public WebhookSecretReconcilerTests() => _reconciler = new WebhookSecretReconciler(
        _source, _ => { }, new FakeTimeProvider(), _instruments, NullLogger<WebhookSecretReconciler>.Instance);

    [Fact]
    public async Task Writes_of_the_status_are_counted_whatever_comes_of_them()
    {
        _source.Fault = new InvalidOperationException("away");
        await Assert.ThrowsAsync<InvalidOperationException>(() => ReconcileAsync(TestContext.Current.CancellationToken));
        Assert.Equal((0, 1), Counted());

        _source.Fault = null;
        await ReconcileAsync(TestContext.Current.CancellationToken);
        Assert.Equal((1, 1), Counted());
    }

    [Fact]
    public async Task That_another_replica_leads_now_or_the_process_stops_is_no_error()
    {
        _source.Fault = new LeadershipLostException();
        await Assert.ThrowsAsync<LeadershipLostException>(() => ReconcileAsync(TestContext.Current.CancellationToken));

        _source.Fault = new OperationCanceledException();
        await Assert.ThrowsAsync<OperationCanceledException>(() => ReconcileAsync(new CancellationToken(canceled: true)));
        Assert.Equal((0, 0), Counted());
    }

    private Task<ReconcileResult> ReconcileAsync(CancellationToken cancellation) => _reconciler.ReconcileAsync("acme", "keys", cancellation);

    private (double Successes, double Errors) Counted() =>
        (_instruments.StatusWrites.WithLabels("success").Value, _instruments.StatusWrites.WithLabels("error").Value);

    /// <summary>A WebhookSecret in memory, whose status can't be written while there is a fault.</summary>
    private sealed class OneSecret : IResourceSource
    {
        private V1Secret? _keys;

        private WebhookSecret _secret = new()
        {
            Metadata = new V1ObjectMeta { Name = "keys", NamespaceProperty = "acme", Uid = "uid", Generation = 1 },
            Spec = new WebhookSecretSpec { Algorithm = "HmacSha256", Source = new WebhookSecretSource { Generate = new GenerateSpec() } },
        };

        public event Action<ResourceKey>? Changed;

        public Exception? Fault { get; set; }

        public bool Synced => true;

        public IReadOnlySet<string> Namespaces { get; } = new HashSet<string> { "acme" };

        public IReadOnlyCollection<WebhookSubscription> Subscriptions => [];

        public IReadOnlyCollection<WebhookSecret> WebhookSecrets => [_secret];

        public bool TryGetSubscription(string @namespace, string name, [NotNullWhen(true)] out WebhookSubscription? subscription)
        {
            subscription = null;
            return false;
        }

        public bool TryGetWebhookSecret(string @namespace, string name, [NotNullWhen(true)] out WebhookSecret? secret)
        {
            secret = _secret;
            return true;
        }

        public ValueTask<V1Secret?> GetSecretAsync(string @namespace, string name, CancellationToken cancellation) => new(_keys);

        public Task SaveSecretAsync(V1Secret secret, V1Secret? before, CancellationToken cancellation)
        {
            _keys = secret;
            return Task.CompletedTask;
        }

        public Task SaveStatusAsync(
            ResourceKey key, string uid, StatusWriter writer, WebhookSubscriptionStatus part, CancellationToken cancellation) => Task.CompletedTask;

        public Task SaveStatusAsync(ResourceKey key, string uid, WebhookSecretStatus status, CancellationToken cancellation)
        {
            if (Fault is not null)
                return Task.FromException(Fault);
            _secret = _secret with { Status = status };
            Changed?.Invoke(key);
            return Task.CompletedTask;
        }

        public Task RunAsync(CancellationToken cancellation) => Task.CompletedTask;
    }
}
