namespace WebhookOperator.Engine.Http;

/// <summary>
/// The access token of one client: kept until shortly before it expires, and asked for once, however many
/// attempts wait for it. A failure is kept for a moment too, so that a server in trouble is left alone.
/// </summary>
/// <param name="ask">Asks the token endpoint; a value for every failure.</param>
/// <param name="time">For the age of tokens.</param>
internal sealed class TokenSource(Func<CancellationToken, Task<TokenAnswer>> ask, TimeProvider time) : IDisposable
{
    /// <summary>
    /// Before a token that replaced a refused one is replaced in its turn: a receiver that refuses fresh tokens
    /// has another reason than their age.
    /// </summary>
    public static readonly TimeSpan RefusalPause = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();
    private Task<TokenAnswer>? _asking;
    private TokenAnswer? _answer;
    private DateTimeOffset _since;
    private bool _refused;
    private bool _replacesRefused;

    /// <summary>The token, or the reason why there is none. Cancelling the wait does not end the asking: others wait too.</summary>
    public Task<TokenAnswer> GetAsync()
    {
        lock (_gate)
        {
            if (_answer is not null && time.GetUtcNow() < _since + _answer.KeptFor)
                return Task.FromResult(_answer);
            return _asking ??= AskAsync(_stop.Token);
        }
    }

    /// <summary>The receiver answered 401 to this token: the next attempt gets another. Said again of the same token, it changes nothing.</summary>
    public void Refuse(TokenAnswer answer)
    {
        lock (_gate)
        {
            if (!ReferenceEquals(_answer, answer) || (_replacesRefused && time.GetUtcNow() < _since + RefusalPause))
                return;
            _answer = null;
            _refused = true;
        }
    }

    /// <summary>Not before the last attempt that uses it has ended.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
    }

    private async Task<TokenAnswer> AskAsync(CancellationToken stop)
    {
        // The caller holds the lock.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        var start = time.GetUtcNow();
        TokenAnswer? answer = null;
        try
        {
            return answer = await ask(stop);
        }
        finally
        {
            lock (_gate)
            {
                _answer = answer;
                _since = start;
                _asking = null;
                if (answer is { Succeeded: true })
                    (_replacesRefused, _refused) = (_refused, false);
            }
        }
    }
}
