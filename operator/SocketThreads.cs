using System.Globalization;
using System.Runtime.InteropServices;

namespace WebhookOperator;

/// <summary>The runtime's threads that wait for all sockets of the process, and hand what they find to the thread pool.</summary>
internal static class SocketThreads
{
    /// <summary>SCHED_BATCH, and SCHED_RESET_ON_FORK: threads of the pool that they start are as all others.</summary>
    private const int Batch = 3 | 0x40000000;

    /// <summary>As the runtime calls them, in SocketAsyncEngine.Unix.cs.</summary>
    private const string Name = ".NET Sockets";

    /// <summary>
    /// Makes them wait for their turn where all processors are busy (sched(7), SCHED_BATCH). Otherwise Linux lets them interrupt a
    /// thread that works, for every single socket that has something; so they find many at once. Where a processor is free they run
    /// at once, as before. To be called once there are sockets; takes no privilege.
    /// </summary>
    /// <returns>Why the kernel, or what confines the process, refuses it; null if it does not, or if this is not Linux.</returns>
    public static string? TakeTurns()
    {
        if (!OperatingSystem.IsLinux())
            return null;
        foreach (var id in Ids())
        {
            var priority = 0;
            if (SetScheduler(id, Batch, in priority) != 0)
                return Marshal.GetLastPInvokeErrorMessage();
        }
        return null;
    }

    /// <summary>As the kernel numbers them.</summary>
    public static List<int> Ids()
    {
        var ids = new List<int>();
        foreach (var folder in Directory.EnumerateDirectories("/proc/self/task"))
        {
            try
            {
                if (File.ReadAllText(Path.Combine(folder, "comm")).TrimEnd() == Name)
                    ids.Add(int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture));
            }
            catch (IOException)
            {
                // A thread that has ended meanwhile.
            }
        }
        return ids;
    }

    [DllImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetScheduler(int thread, int policy, in int priority);
}
