using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using WebhookOperator.Bench.Processes;

namespace WebhookOperator.Bench;

/// <summary>What the figures depend on.</summary>
internal static class Machine
{
    private const int Syncs = 200;
    private const int PageBytes = 4096;

    /// <summary>USER_HZ, the same on every architecture that .NET runs on.</summary>
    private const int TicksPerSecond = 100;

    /// <param name="folder">Where the stores are put.</param>
    public static IEnumerable<Figure> Describe(string folder)
    {
        yield return new Figure("processor", $"{Environment.ProcessorCount} cores, {ProcessorName()}");
        yield return new Figure("memory", Figure.Text(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9, "GB"));
        yield return new Figure("runtime", $"{RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}");
        yield return new Figure("load before the run", File.ReadAllText("/proc/loadavg").Split(' ')[0]);
        yield return new Figure("fsync of 4 KiB", Figure.Text(MeasureSync(folder), "ms"), $"{DriveOf(folder).DriveFormat}, median of {Syncs}");
    }

    /// <summary>
    /// Begins to watch what other programs take of the processors; a call of the result tells it, in percent.
    /// Interrupts are left out, since they work for all.
    /// </summary>
    public static Func<double> WatchOthers()
    {
        var (busyBefore, ownBefore, start) = (BusyTime(), OwnTime(), Stopwatch.GetTimestamp());
        return () =>
        {
            var others = BusyTime() - busyBefore - (OwnTime() - ownBefore);
            return Math.Max(0, 100 * (others / (Stopwatch.GetElapsedTime(start) * Environment.ProcessorCount)));
        };

        static TimeSpan OwnTime() => Environment.CpuUsage.TotalTime + ChildProcess.ProcessorTimeOfAll;
    }

    /// <summary>A time as it stands in /proc, in clock ticks.</summary>
    public static TimeSpan OfTicks(string ticks) =>
        TimeSpan.FromSeconds(double.Parse(ticks, CultureInfo.InvariantCulture) / TicksPerSecond);

    /// <summary>User, nice and system time of all programs since the machine started.</summary>
    private static TimeSpan BusyTime() =>
        File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries)[1..4]
            .Aggregate(TimeSpan.Zero, (sum, field) => sum + OfTicks(field));

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
