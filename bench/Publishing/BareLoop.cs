namespace WebhookOperator.Bench.Publishing;

/// <summary>The limit: the same client and the same receiver, with no operator between them.</summary>
internal sealed class BareLoop(HttpMessageInvoker http, Uri hook)
{
    private static readonly byte[] Unstamped = EventBody.Unstamped();

    public Task PostAsync(CancellationToken cancellation) => PostAsync(Unstamped, cancellation);

    /// <summary>One that the receiver takes the time of.</summary>
    public Task PostStampedAsync(CancellationToken cancellation) => PostAsync(EventBody.Data(), cancellation);

    private async Task PostAsync(byte[] body, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, hook) { Content = new ByteArrayContent(body) };
        using var response = await http.SendAsync(request, cancellation);
        response.EnsureSuccessStatusCode();
    }
}
