using System.Text;
using WebhookOperator.Api;

namespace WebhookOperator.Reconcile;

/// <summary>An expected failure on the way to an endpoint.</summary>
/// <param name="Reason">A CamelCase word for the conditions.</param>
/// <param name="Message">One sentence for people; never holds a secret value.</param>
/// <param name="Stalled">Only a change of the spec, of a Secret's content or of a flag can mend it; else it waits for something to appear.</param>
internal sealed record Obstacle(string Reason, string Message, bool Stalled);

/// <summary>Looks up what a spec names, and remembers the first obstacle: of any kind, and of those with Secrets.</summary>
internal sealed class Resolution(Surroundings around)
{
    public Surroundings Around => around;

    public Obstacle? Obstacle { get; private set; }

    public Obstacle? SecretObstacle { get; private set; }

    /// <summary>When what was found becomes another thing by time alone; null if it stays.</summary>
    public DateTimeOffset? Again { get; private set; }

    public void LookAgainAt(DateTimeOffset time) => Again = Again < time ? Again : time;

    public void Fail(string reason, string message, bool stalled) => Obstacle ??= new Obstacle(reason, message, stalled);

    public string? Text(SecretKeyReference reference)
    {
        if (!around.Secrets.TryGetValue(reference.Name!, out var secret))
            return Missing("SecretNotFound", $"The Secret {reference.Name} does not exist.", stalled: false);
        if (secret.Data is null || !secret.Data.TryGetValue(reference.Key!, out var bytes))
            return Missing("SecretKeyNotFound", $"The Secret {reference.Name} has no key {reference.Key}.", stalled: false);
        // Files and echo end in a line break that nobody means.
        return Encoding.UTF8.GetString(bytes).TrimEnd('\r', '\n');
    }

    /// <summary>Text that can be sent in a header (RFC 9110, 5.5, without the obsolete part).</summary>
    public string? HeaderValue(SecretKeyReference reference)
    {
        if (Text(reference) is not { } text)
            return null;
        return text.All(c => c is '\t' or (>= ' ' and <= '~'))
            ? text
            : Missing("InvalidHeaderValue",
                $"The key {reference.Key} of the Secret {reference.Name} can't be sent in a header: it must be one line of visible ASCII characters.",
                stalled: true);
    }

    /// <summary>As <see cref="Fail"/>, where a Secret is at fault.</summary>
    public void FailSecret(string reason, string message, bool stalled)
    {
        SecretObstacle ??= new Obstacle(reason, message, stalled);
        Fail(reason, message, stalled);
    }

    private string? Missing(string reason, string message, bool stalled)
    {
        FailSecret(reason, message, stalled);
        return null;
    }
}
