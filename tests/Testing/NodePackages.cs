using System.ComponentModel;
using System.Diagnostics;

namespace WebhookOperator.Tests.Testing;

/// <summary>The npm packages of <c>tests/package-lock.json</c>, installed when a test first needs them.</summary>
internal static class NodePackages
{
    private const string Missing =
        "This test needs Node.js 20 or later with npm on the PATH: https://nodejs.org (Debian 12's own package is older).";

    private static readonly string Tests = Path.Combine(Repository.Root, "tests");
    private static readonly Lazy<Task> Installed = new(InstallAsync);

    /// <summary>The folder of a package, or a file in it.</summary>
    public static async Task<string> PathOfAsync(string package)
    {
        await Installed.Value;
        return Path.Combine(Tests, "node_modules", package);
    }

    /// <summary>Starts <c>node</c> on a script of <c>tests/node</c>, with its standard streams in the caller's hands.</summary>
    public static async Task<Process> StartAsync(string script, params string[] arguments)
    {
        await Installed.Value;
        return Start("node", [Path.Combine(Tests, "node", script), .. arguments]);
    }

    private static async Task InstallAsync()
    {
        var written = new FileInfo(Path.Combine(Tests, "node_modules", ".package-lock.json"));
        if (written.Exists && written.LastWriteTimeUtc >= File.GetLastWriteTimeUtc(Path.Combine(Tests, "package-lock.json")))
            return;
        using var npm = Start("npm", ["ci", "--no-audit", "--no-fund"]);
        npm.StandardInput.Close();
        var output = npm.StandardOutput.ReadToEndAsync();
        var errors = npm.StandardError.ReadToEndAsync();
        await npm.WaitForExitAsync();
        if (npm.ExitCode != 0)
            throw new InvalidOperationException($"npm ci in {Tests} failed:\n{await output}{await errors}");
    }

    private static Process Start(string program, string[] arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(program, arguments)
            {
                WorkingDirectory = Tests,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
        }
        catch (Win32Exception e)
        {
            throw new InvalidOperationException(Missing, e);
        }
    }
}
