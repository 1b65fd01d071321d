using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;

namespace WebhookOperator.Local;

/// <summary>What one look at the folder gave.</summary>
/// <param name="Settled">False if a file was being written, and so was left for the next look.</param>
/// <param name="Changed">The files with new content, as faults name them.</param>
/// <param name="Faults">All there are, also those of files that did not change.</param>
/// <param name="NewlyIgnored">Documents that were not mentioned before.</param>
internal sealed record FolderReading(
    bool Settled, IReadOnlySet<string> Changed, ImmutableArray<ManifestFault> Faults, ImmutableArray<ManifestFault> NewlyIgnored);

/// <summary>Finds the files of a folder that changed, and reads only those.</summary>
internal sealed class FolderReader(string folder, TimeProvider time)
{
    private const int MaxFileBytes = 64 * 1024 * 1024;

    /// <summary>A file written less than this ago may get more yet; half a manifest can be a valid one.</summary>
    private static readonly TimeSpan SettleTime = TimeSpan.FromMilliseconds(100);

    /// <summary>A file that is written to all the time is read at last.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Two writes within the file system's clock tick look the same; up to 2 s on some.</summary>
    private static readonly TimeSpan ClockTick = TimeSpan.FromSeconds(2);

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly Dictionary<string, Version> _known = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ImmutableArray<ManifestFault>> _faults = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _unsettledSince = new(StringComparer.Ordinal);
    private readonly HashSet<(string File, string Message)> _ignored = [];

    public FolderReading Read(ManifestSet set)
    {
        var listing = FolderListing.Read(folder);
        var changed = new HashSet<string>(StringComparer.Ordinal);
        var ignored = ImmutableArray.CreateBuilder<ManifestFault>();
        var settled = true;
        foreach (var (file, stamp) in listing.Files)
        {
            var known = _known.GetValueOrDefault(file);
            if (known is not null && known.Stamp == stamp && !known.Unsure && !stamp.ByLink)
                continue;
            var path = Path.Combine(folder, file);
            try
            {
                var bytes = Read(path, out var modified, out var inMotion);
                if (inMotion && IsWorthWaiting(file))
                {
                    settled = false;
                    continue;
                }
                _unsettledSince.Remove(file);
                var hash = SHA256.HashData(bytes);
                _known[file] = new Version(stamp, hash, Unsure: (time.GetUtcNow() - modified).Duration() < ClockTick);
                if (known is not null && hash.AsSpan().SequenceEqual(known.Hash))
                    continue;
                changed.Add(path);
                var contents = ManifestReader.Read(path, StrictUtf8.GetString(WithoutMark(bytes)));
                set.Replace(file, contents);
                _faults[file] = contents.Faults;
                ignored.AddRange(contents.Ignored.Where(notice => _ignored.Add((file, notice.Message))));
            }
            catch (FileNotFoundException) when (IsWorthWaiting(file))
            {
                settled = false;
            }
            catch (DecoderFallbackException)
            {
                Fault(file, "is not UTF-8 text: save it as UTF-8");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Fault(file, $"can't be read: {e.Message}");
                _known.Remove(file);
            }
        }

        foreach (var file in set.Files.Concat(_known.Keys).Distinct().Where(file => !listing.Files.ContainsKey(file) && listing.Covers(file)).ToList())
        {
            set.Remove(file);
            _known.Remove(file);
            _faults.Remove(file);
            _unsettledSince.Remove(file);
        }
        var faults = listing.Errors.Select(error => new ManifestFault(folder, 1, 1, "", error)).Concat(_faults.Values.SelectMany(faults => faults));
        return new FolderReading(settled, changed, [.. faults], ignored.ToImmutable());
    }

    private bool IsWorthWaiting(string file)
    {
        var now = time.GetTimestamp();
        return time.GetElapsedTime(_unsettledSince.TryAdd(file, now) ? now : _unsettledSince[file], now) < Patience;
    }

    /// <param name="path">Of the file.</param>
    /// <param name="modified">When it was last written.</param>
    /// <param name="inMotion">It was written just now, or while it was read.</param>
    private byte[] Read(string path, out DateTimeOffset modified, out bool inMotion)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        modified = File.GetLastWriteTimeUtc(file.SafeFileHandle);
        if (file.Length > MaxFileBytes)
            throw new IOException($"it has {file.Length} bytes, and {MaxFileBytes} are the limit; split it");
        var bytes = new byte[file.Length];
        var read = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        var age = time.GetUtcNow() - modified;
        inMotion = (age >= TimeSpan.Zero && age < SettleTime)
            || read < bytes.Length || file.Length != bytes.Length || File.GetLastWriteTimeUtc(file.SafeFileHandle) != modified;
        return bytes[..read];
    }

    private static ReadOnlySpan<byte> WithoutMark(ReadOnlySpan<byte> bytes) =>
        bytes.StartsWith(Encoding.UTF8.Preamble) ? bytes[Encoding.UTF8.Preamble.Length..] : bytes;

    private void Fault(string file, string message) =>
        _faults[file] = [new ManifestFault(Path.Combine(folder, file), 1, 1, "", message)];

    private sealed record Version(FileStamp Stamp, byte[] Hash, bool Unsure);
}
