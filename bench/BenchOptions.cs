using System.Collections.Immutable;
using WebhookOperator.Bench.Sections;

namespace WebhookOperator.Bench;

internal static class ExitCodes
{
    public const int Ok = 0;

    /// <summary>A section could not run, or with <c>--check</c> a figure was not reached.</summary>
    public const int Failed = 1;

    public const int Usage = 2;
}

/// <param name="Sections">Those to run, in order.</param>
/// <param name="Quick">Shorter rounds and smaller backlogs: tells whether all works, not how fast.</param>
/// <param name="Check">The exit code tells whether every figure was reached.</param>
/// <param name="Folder">Where the stores are put; null for the system's temporary folder.</param>
internal sealed record BenchOptions(ImmutableArray<Section> Sections, bool Quick, bool Check, string? Folder)
{
    private const string Usage = """
        Measures the operator and prints each figure beside its limit on this machine.

          --only NAME    run this section only; repeatable: {0}
          --quick        shorter rounds and smaller backlogs
          --check        exit code 1 if a figure is not reached
          --folder DIR   put the stores there, to measure another disk
        """;

    /// <summary>Null if there is nothing to run; then <paramref name="error"/> has been told why.</summary>
    public static BenchOptions? Parse(IReadOnlyList<string> args, TextWriter error)
    {
        var options = new BenchOptions([], false, false, null);
        for (var i = 0; i < args.Count; i++)
        {
            switch (args[i])
            {
                case "--quick":
                    options = options with { Quick = true };
                    break;
                case "--check":
                    options = options with { Check = true };
                    break;
                case "--folder" when i + 1 < args.Count && Directory.Exists(args[i + 1]):
                    options = options with { Folder = args[++i] };
                    break;
                case "--only" when i + 1 < args.Count && Section.All.FirstOrDefault(s => s.Name == args[i + 1]) is { } section:
                    options = options with { Sections = options.Sections.Add(section) };
                    i++;
                    break;
                default:
                    if (args[i] is not ("--help" or "-h"))
                        error.WriteLine($"Can't use '{string.Join(' ', args.Skip(i))}'.\n");
                    error.WriteLine(Usage, string.Join(", ", Section.All.Select(s => s.Name)));
                    return null;
            }
        }
        return options.Sections.IsEmpty ? options with { Sections = Section.All } : options;
    }
}
