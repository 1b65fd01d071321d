using System.Diagnostics;
using System.Runtime.InteropServices;

namespace WebhookOperator.Bench;

/// <summary>What the figures depend on.</summary>
internal static class Machine
{
    private const int Syncs = 200;
    private const int PageBytes = 4096;

    /// <param name="folder">Where the stores are put.</param>
    public static IEnumerable<Figure> Describe(string folder)
    {
        yield return new Figure("processor", $"{Environment.ProcessorCount} cores, {ProcessorName()}");
        yield return new Figure("memory", Figure.Text(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9, "GB"));
        yield return new Figure("runtime", $"{RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}");
        yield return new Figure("load before the run", File.ReadAllText("/proc/loadavg").Split(' ')[0]);
        yield return new Figure("fsync of 4 KiB", Figure.Text(MeasureSync(folder), "ms"), $"{DriveOf(folder).DriveFormat}, median of {Syncs}");
    }

    private static double MeasureSync(string folder)
    {
        using var file = new FileStream(
            Path.Combine(folder, "fsync"), FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose);
        var page = new byte[PageBytes];
        var times = new double[Syncs];
        for (var i = 0; i < Syncs; i++)
        {
            file.Write(page);
            var start = Stopwatch.GetTimestamp();
            file.Flush(flushToDisk: true);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
        return Sample.Median(times);
    }

    private static DriveInfo DriveOf(string folder) => DriveInfo.GetDrives()
        .Where(d => folder.StartsWith(d.RootDirectory.FullName, StringComparison.Ordinal))
        .MaxBy(d => d.RootDirectory.FullName.Length)!;

    private static string ProcessorName() =>
        File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(": ")[^1]
        ?? RuntimeInformation.ProcessArchitecture.ToString();
}
