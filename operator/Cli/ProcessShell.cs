using System.Collections;

namespace WebhookOperator.Cli;

/// <summary>The shell that this process really runs in.</summary>
internal static class ProcessShell
{
    public static Shell Create(LaunchOperator launch) => new()
    {
        In = Console.In,
        Out = Console.Out,
        Error = Console.Error,
        OutIsTerminal = !Console.IsOutputRedirected,
        Invocation = Invocation(),
        Environment = System.Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .ToDictionary(variable => (string)variable.Key, variable => (string?)variable.Value ?? ""),
        Time = TimeProvider.System,
        Launch = launch,
    };

    /// <summary>The program as it was started: by its path, or through dotnet where there is no executable.</summary>
    private static string Invocation()
    {
        var program = System.Environment.ProcessPath;
        return program is null || Path.GetFileNameWithoutExtension(program) == "dotnet"
            ? "dotnet " + Short(Path.Combine(AppContext.BaseDirectory, CommandLine.Program + ".dll")) : Short(program);
    }

    private static string Short(string path)
    {
        var relative = Path.GetRelativePath(System.Environment.CurrentDirectory, path);
        if (relative.StartsWith("..", StringComparison.Ordinal))
            return path;
        return relative.Contains(Path.DirectorySeparatorChar, StringComparison.Ordinal) || relative.EndsWith(".dll", StringComparison.Ordinal)
            ? relative : "./" + relative;
    }
}
