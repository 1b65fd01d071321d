using System.Diagnostics;

namespace WebhookOperator.Tests.Testing;

/// <summary>A program of others that tests run: the one on the PATH, or else Debian's, fetched when a test first needs it.</summary>
internal sealed class DebianProgram
{
    public static readonly DebianProgram Prometheus = new("prometheus", "prometheus");
    public static readonly DebianProgram Promtool = new("promtool", "prometheus");
    public static readonly DebianProgram Lua = new("lua5.4", "lua5.4", "libreadline8", "libtinfo6");

    public static readonly DebianProgram OpenSsl = new("openssl", "openssl", "libssl3");

    public static readonly DebianProgram Python = new(
        "python3", "python3-minimal", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libexpat1", "libssl3", "libffi8");

    private static readonly SemaphoreSlim One = new(1, 1);
    private readonly string[] _arguments;
    private readonly Lazy<Task<string>> _path;

    private DebianProgram(params string[] programAndPackages)
    {
        _arguments = programAndPackages;
        _path = new Lazy<Task<string>>(FindAsync);
    }

    public Task<string> PathAsync() => _path.Value;

    /// <summary>Runs it to its end with nothing on standard input.</summary>
    public async Task<Ran> RunAsync(params string[] arguments) => await RunAsync(await PathAsync(), arguments);

    private async Task<string> FindAsync()
    {
        await One.WaitAsync();
        try
        {
            var ran = await RunAsync(Path.Combine(Repository.Root, "hack", "need-program.sh"), _arguments);
            return ran.ExitCode == 0 ? ran.Output.Trim() : throw new InvalidOperationException(ran.Everything);
        }
        finally
        {
            One.Release();
        }
    }

    private static async Task<Ran> RunAsync(string path, string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(path, arguments)
        {
            WorkingDirectory = Repository.Root,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return new Ran(process.ExitCode, await output, await errors);
    }
}

/// <summary>A program that has ended.</summary>
internal sealed record Ran(int ExitCode, string Output, string Errors)
{
    public string Everything => Output + Errors;
}
