using WebhookOperator.Engine.Delivery;

namespace WebhookOperator.Cli;

/// <summary>
/// Starts the operator as the settings say; the composition root provides it, so that a verb needs to know
/// no part of the engine. Completes once the HTTP API answers and every manifest has been reconciled.
/// </summary>
internal delegate Task<RunningOperator> LaunchOperator(
    Settings settings, Action<AttemptReport>? onAttempt, CancellationToken cancellation);

/// <summary>An operator that runs in this process. Disposing stops it gracefully.</summary>
/// <param name="Api">Where the HTTP API listens, with the port really taken.</param>
/// <param name="Metrics">Where metrics and probes listen.</param>
/// <param name="Stop">Ends intake, lets attempts under way finish, flushes, and closes the store.</param>
internal sealed record RunningOperator(Uri Api, Uri Metrics, Func<Task> Stop) : IAsyncDisposable
{
    public async ValueTask DisposeAsync() => await Stop();
}
