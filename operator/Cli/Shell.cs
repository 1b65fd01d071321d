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
internal sealed class VerbFailedException(string message) : Exception(message);
