using System.Collections.Immutable;

namespace WebhookOperator.Local;

/// <summary>Tells two versions of a file apart without reading it.</summary>
/// <param name="Length">In bytes.</param>
/// <param name="Modified">UTC.</param>
/// <param name="ByLink">Reached through a symbolic link: then only the content tells, since a swapped link keeps length and time.</param>
internal readonly record struct FileStamp(long Length, DateTime Modified, bool ByLink);

/// <summary>
/// The manifest files below a folder: *.yaml, *.yml and *.json. Names that begin with a dot are left out: there
/// editors keep their swap files, and ConfigMap volumes the versions behind their links.
/// </summary>
internal sealed class FolderListing
{
    /// <summary>Symbolic links to folders, one within the other: enough for mounts, and an end to circles.</summary>
    private const int MaxLinks = 2;

    private readonly SortedDictionary<string, FileStamp> _files = new(StringComparer.Ordinal);
    private readonly List<string> _unreadable = [];
    private readonly string _root;

    private FolderListing(string root) => _root = root;

    /// <summary>By path relative to the root, in order.</summary>
    public IReadOnlyDictionary<string, FileStamp> Files => _files;

    /// <summary>What could not be listed and why. Files in there may still exist.</summary>
    public ImmutableArray<string> Errors { get; private set; } = [];

    public static FolderListing Read(string root)
    {
        var listing = new FolderListing(root);
        listing.Add(new DirectoryInfo(root), "", links: 0);
        return listing;
    }

    /// <summary>True if the file would have been listed if it existed.</summary>
    public bool Covers(string file) => !_unreadable.Any(folder => folder.Length == 0 || file.StartsWith(folder, StringComparison.Ordinal));

    public static bool IsManifest(string name) =>
        !name.StartsWith('.') && Path.GetExtension(name) is ".yaml" or ".yml" or ".json";

    private void Add(DirectoryInfo folder, string prefix, int links)
    {
        try
        {
            foreach (var entry in folder.EnumerateFileSystemInfos())
            {
                if (entry.Name.StartsWith('.'))
                    continue;
                var followed = entry.Attributes.HasFlag(FileAttributes.ReparsePoint) ? links + 1 : links;
                if (entry is DirectoryInfo subfolder)
                {
                    if (followed <= MaxLinks)
                        Add(subfolder, $"{prefix}{entry.Name}/", followed);
                }
                else if (entry is FileInfo file && IsManifest(file.Name))
                {
                    _files[prefix + file.Name] = followed > 0
                        ? new FileStamp(0, default, ByLink: true)
                        : new FileStamp(file.Length, file.LastWriteTimeUtc, ByLink: false);
                }
            }
        }
        catch (DirectoryNotFoundException) when (prefix.Length > 0)
        {
            // Removed since its parent was listed.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _unreadable.Add(prefix);
            Errors = Errors.Add($"the folder {Path.Combine(_root, prefix)} can't be read, what it held stays in force: {e.Message}");
        }
    }
}
