using System.Net.Sockets;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Kube;

namespace WebhookOperator.Cli;

/// <summary>What the verbs touch of the process around them, so that they run the same in a test.</summary>
internal sealed record Shell
{
    public required TextReader In { get; init; }

    public required TextWriter Out { get; init; }

    public required TextWriter Error { get; init; }

    /// <summary>A person looks at <see cref="Out"/>: it can be redrawn.</summary>
    public bool OutIsTerminal { get; init; }

    /// <summary>What to type to run this program again, for hints that can be copied.</summary>
    public string Invocation { get; init; } = CommandLine.Program;

    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    public required TimeProvider Time { get; init; }

    public required LaunchOperator Launch { get; init; }

    /// <inheritdoc cref="LaunchOperator"/>
    /// <exception cref="VerbFailedException">It can't listen where it should, or there is no way to a cluster.</exception>
    public async Task<RunningOperator> LaunchAsync(Settings settings, Action<AttemptReport>? onAttempt, CancellationToken cancellation)
    {
        try
        {
            return await Launch(settings, onAttempt, cancellation);
        }
        catch (KubeConnectionException e)
        {
            throw new VerbFailedException(e.Message);
        }
        catch (Exception e) when (e.GetBaseException() is SocketException { SocketErrorCode: var error })
        {
            var where = $"{settings.Listen} ({Setting.Listen.Flag}) or {settings.Metrics} ({Setting.Metrics.Flag})";
            throw new VerbFailedException(error switch
            {
                SocketError.AddressAlreadyInUse => $"Another program listens on {where}; stop it, or choose another port.",
                SocketError.AddressNotAvailable => $"This machine does not have the address of {where}.",
                SocketError.AccessDenied => $"This user may not listen on {where}; ports below 1024 are often kept for root.",
                _ => $"It is not possible to listen on {where}: {e.GetBaseException().Message}.",
            });
        }
    }
}

/// <summary>What a script can rely on.</summary>
internal static class ExitCode
{
    public const int Ok = 0;
    public const int Failed = 1;

    /// <summary>Flags, arguments or settings are wrong; nothing was done.</summary>
    public const int Usage = 2;
}

/// <summary>A verb can't do what was asked; the message is for the person who asked.</summary>
/// <param name="message">A sentence.</param>
/// <param name="transient">The same may well work a little later.</param>
internal sealed class VerbFailedException(string message, bool transient = false) : Exception(message)
{
    public bool Transient => transient;
}
