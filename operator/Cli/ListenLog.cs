using System.Globalization;
using System.Text;

namespace WebhookOperator.Cli;

/// <summary>Answers each request and prints it: a line, and the body under it.</summary>
/// <param name="check">Null where nothing is verified.</param>
/// <param name="status">What to answer, unless the signature does not hold.</param>
/// <param name="count">After how many requests <see cref="WaitAsync"/> ends; 0 for never.</param>
/// <param name="shell">Where to print.</param>
internal sealed class ListenLog(SignatureCheck? check, int status, int count, Shell shell)
{
    private const int MostCharacters = 4096;

    private readonly TaskCompletionSource _enough = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private int _received;

    /// <summary>False once a request came whose signature did not hold.</summary>
    public bool AllVerified { get; private set; } = true;

    public ReceiverAnswer Answer(ReceivedRequest request)
    {
        var fault = check?.Fault(request, shell.Time.GetUtcNow());
        var code = fault is null ? status : StatusCodes.Status401Unauthorized;
        lock (_gate)
        {
            AllVerified &= fault is null;
            var again = request.WebhookId.Length > 0 && !_seen.Add(request.WebhookId) ? "  (again)" : "";
            var verdict = check is null ? "not checked" : fault is null ? "verified" : "NOT VERIFIED: " + fault;
            var clock = shell.Time.GetLocalNow().ToString("HH:mm:ss", CultureInfo.InvariantCulture);
            var id = request.WebhookId.Length > 0 ? request.WebhookId : "no webhook-id";
            shell.Out.WriteLine(
                $"{clock}  {request.Method} {request.Path}{request.Query}  {id}{again}  {verdict} → {code}");
            if (request.Headers["ce-type"].ToString() is { Length: > 0 } type)
                shell.Out.WriteLine($"    ce-type: {type}  ce-source: {request.Headers["ce-source"]}  ce-id: {request.Headers["ce-id"]}");
            if (request.Body.Length > 0)
                shell.Out.WriteLine("    " + Excerpt(request.Body));
            shell.Out.Flush();
            if (++_received == count)
                _enough.TrySetResult();
        }
        return new ReceiverAnswer(code, fault ?? "");
    }

    /// <summary>Until enough has come, or it is cancelled.</summary>
    public async Task WaitAsync(CancellationToken cancellation)
    {
        await using var stop = cancellation.Register(() => _enough.TrySetResult());
        await _enough.Task;
    }

    /// <summary>What came is data: no control character of it reaches the terminal.</summary>
    private static string Excerpt(byte[] body)
    {
        var text = Encoding.UTF8.GetString(body, 0, Math.Min(body.Length, MostCharacters));
        var clean = string.Concat(text.Select(c => char.IsControl(c) && c is not '\n' ? '·' : c)).ReplaceLineEndings("\n    ");
        return body.Length > MostCharacters
            ? string.Create(CultureInfo.InvariantCulture, $"{clean}… ({body.Length} bytes)") : clean;
    }
}
