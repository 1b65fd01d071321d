using Prometheus;

namespace WebhookOperator.Telemetry;

/// <summary>Every metric of the program, under the names that dashboards and alerts rely on.</summary>
internal sealed class Instruments
{
    private static readonly double[] Seconds =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    private static readonly string[] StatusResults = ["success", "error", "throttled"];

    public Instruments(CollectorRegistry registry)
    {
        Registry = registry;
        var metrics = Metrics.WithCustomRegistry(registry);
        EventsReceived = metrics.CreateCounter("webhook_events_received_total",
            "Events that producers published, by what became of them.", ["namespace", "result"]);
        Deliveries = metrics.CreateCounter("webhook_deliveries_total",
            "Deliveries that reached their end, by outcome.", ["namespace", "subscription", "outcome"]);
        Attempts = metrics.CreateCounter("webhook_delivery_attempts_total",
            "HTTP requests to receivers, by class of the answer.", ["namespace", "subscription", "code_class"]);
        AttemptDuration = metrics.CreateHistogram("webhook_delivery_attempt_duration_seconds",
            "Duration of one HTTP request to a receiver.", new HistogramConfiguration { Buckets = Seconds });
        Latency = metrics.CreateHistogram("webhook_delivery_latency_seconds",
            "From accepting an event to its delivery.",
            new HistogramConfiguration { Buckets = [.. Seconds, 300, 3600, 21600, 86400, 345600] });
        Pending = metrics.CreateGauge("webhook_deliveries_pending",
            "Deliveries that have not reached their end.", ["namespace", "subscription"]);
        OldestPendingAge = metrics.CreateGauge("webhook_oldest_pending_age_seconds",
            "Age of the oldest pending delivery; 0 if none is pending.", ["namespace", "subscription"]);
        CircuitState = metrics.CreateGauge("webhook_circuit_state",
            "1 for the state that the subscription's circuit is in, 0 for the others.",
            ["namespace", "subscription", "state"]);
        StoreCommitDuration = metrics.CreateHistogram("webhook_store_commit_duration_seconds",
            "Duration of one commit, by the operation that waited longest for it.",
            ["operation"], new HistogramConfiguration { Buckets = Seconds });
        StoreBatchSize = metrics.CreateHistogram("webhook_store_batch_size",
            "Operations that shared one commit.",
            new HistogramConfiguration { Buckets = Histogram.ExponentialBuckets(1, 2, 12) });
        StoreErrors = metrics.CreateCounter("webhook_store_errors_total",
            "Operations that the store could not commit, a full disk or a lost connection for example.", ["operation"]);
        BacklogLimit = metrics.CreateGauge("webhook_backlog_limit",
            "Pending deliveries at which publishing is answered with 429.");
        Held = metrics.CreateGauge("webhook_subscription_held",
            "1 while deliveries are held for this reason; no series otherwise.", ["namespace", "subscription", "reason"]);
        StatusWrites = metrics.CreateCounter("webhook_status_writes_total",
            "Writes of a resource's status, by result; throttled ones were put off by the budget, and follow.", ["result"]);
        foreach (var result in StatusResults)
            StatusWrites.WithLabels(result);
        ShardsOwned = metrics.CreateGauge("webhook_shards_owned", "Shards that this replica delivers for, of 256.");
        Ready = metrics.CreateGauge("webhook_operator_ready", "1 while /readyz answers 200, 0 while it does not.");
        Leader = metrics.CreateGauge("webhook_operator_leader", "1 on the replica that reconciles, 0 on the others.");
        Reconciles = metrics.CreateCounter("controller_reconcile_total",
            "Reconciliations, by controller and result.", ["controller", "result"]);
        ReconcileDuration = metrics.CreateHistogram("controller_reconcile_duration_seconds",
            "Duration of one reconciliation.", ["controller"], new HistogramConfiguration { Buckets = Seconds });
        WorkQueueDepth = metrics.CreateGauge("workqueue_depth", "Keys that wait in a work queue.", ["name"]);
        Subscriptions = new SubscriptionMetrics(this);
    }

    public CollectorRegistry Registry { get; }

    /// <summary>The samples of all collectors with the labels namespace and subscription, but for <see cref="Held"/>.</summary>
    public SubscriptionMetrics Subscriptions { get; }
    public Counter EventsReceived { get; }
    public Counter Deliveries { get; }
    public Counter Attempts { get; }
    public Histogram AttemptDuration { get; }
    public Histogram Latency { get; }
    public Gauge Pending { get; }
    public Gauge OldestPendingAge { get; }
    public Gauge CircuitState { get; }
    public Histogram StoreCommitDuration { get; }
    public Histogram StoreBatchSize { get; }
    public Counter StoreErrors { get; }
    public Gauge BacklogLimit { get; }
    public Gauge Held { get; }
    public Counter StatusWrites { get; }
    public Gauge ShardsOwned { get; }
    public Gauge Ready { get; }
    public Gauge Leader { get; }
    public Counter Reconciles { get; }
    public Histogram ReconcileDuration { get; }
    public Gauge WorkQueueDepth { get; }
}
