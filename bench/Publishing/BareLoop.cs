namespace WebhookOperator.Bench.Publishing;

/// <summary>The limit: the same client and the same receiver, with no operator between them.</summary>
internal sealed class BareLoop(HttpMessageInvoker http, Uri hook)
{
    private static readonly byte[] Unstamped = EventBody.Unstamped();

    /// <summary>As fast as it goes, with as many workers as publish events.</summary>
    public Task<(long Answered, double Rate)> RunAsync(TimeSpan duration, CancellationToken cancellation) =>
        Load.TimeAsync(Workbench.Workers, duration, () => PostAsync(Unstamped, cancellation), cancellation);

    /// <summary>One that the receiver takes the time of.</summary>
    public Task PostStampedAsync(CancellationToken cancellation) => PostAsync(EventBody.Data(), cancellation);

    private async Task PostAsync(byte[] body, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, hook) { Content = new ByteArrayContent(body) };
        using var response = await http.SendAsync(request, cancellation);
        response.EnsureSuccessStatusCode();
    }
}
