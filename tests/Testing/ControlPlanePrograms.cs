using System.Diagnostics;

namespace WebhookOperator.Tests.Testing;

/// <summary>A program and its version, such as 1.37.2.</summary>
internal sealed record VersionedProgram(string Name, Version Version, string Path);

/// <summary>What <c>hack/control-plane.sh</c> found, unpacked or built; looked for when a test first needs it.</summary>
internal sealed class ControlPlanePrograms
{
    private static readonly Lazy<Task<ControlPlanePrograms>> Found = new(RunAsync);

    private readonly ILookup<string, VersionedProgram> _programs;
    private readonly Dictionary<string, string> _unavailable;

    private ControlPlanePrograms(IEnumerable<string[]> lines)
    {
        var all = lines.ToArray();
        _programs = all.Where(line => line[1] != "unavailable")
            .Select(line => new VersionedProgram(line[0], Version.Parse(line[1]), line[2]))
            .ToLookup(program => program.Name);
        _unavailable = all.Where(line => line[1] == "unavailable").ToDictionary(line => line[0], line => line[2]);
    }

    public static Task<ControlPlanePrograms> FindAsync() => Found.Value;

    public VersionedProgram NewestApiServer => All("kube-apiserver").MaxBy(server => server.Version)!;

    public VersionedProgram OldestApiServer => All("kube-apiserver").MinBy(server => server.Version)!;

    public VersionedProgram Etcd => All("etcd").First();

    public VersionedProgram KustomizeController => All("kustomize-controller").First();

    /// <summary>Skips the test, with the reason, where there is none.</summary>
    private IEnumerable<VersionedProgram> All(string name)
    {
        Assert.SkipUnless(_programs.Contains(name), $"{name}: {_unavailable.GetValueOrDefault(name, "not available")}");
        return _programs[name];
    }

    private static async Task<ControlPlanePrograms> RunAsync()
    {
        using var find = Process.Start(new ProcessStartInfo(Path.Combine(Repository.Root, "hack", "control-plane.sh"))
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        var output = find.StandardOutput.ReadToEndAsync();
        var errors = find.StandardError.ReadToEndAsync();
        await find.WaitForExitAsync();
        return find.ExitCode == 0
            ? new ControlPlanePrograms((await output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ', 3)))
            : throw new InvalidOperationException($"hack/control-plane.sh failed:\n{await output}{await errors}");
    }
}
