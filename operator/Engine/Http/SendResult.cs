using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Http;

/// <summary>What came of one HTTP request. A value for every failure: sending throws only when it is cancelled.</summary>
internal sealed record SendResult
{
    /// <summary>Null if no answer came.</summary>
    public int? StatusCode { get; init; }

    /// <summary><see cref="ErrorClass.None"/> for 2xx, <see cref="ErrorClass.HttpStatus"/> for any other answer.</summary>
    public ErrorClass Error { get; init; }

    /// <summary>
    /// One sentence for people; null for a success. Never holds a credential. May quote what a receiver chose, so
    /// whatever is set becomes <see cref="PlainText"/>: a message that the store can't take would fail, time and
    /// again, every settlement that shares its commit.
    /// </summary>
    public string? Message
    {
        get;
        init => field = PlainText.Of(value);
    }

    /// <summary>The header Retry-After, either form as a wait from now; null if absent, malformed or past.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The first 4 KiB of the response body at most.</summary>
    public ReadOnlyMemory<byte> Body { get; init; }
}
