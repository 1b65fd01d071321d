using System.Globalization;
using System.Net;
using WebhookOperator.Api;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Postgres;

namespace WebhookOperator;

/// <summary>Turns text into <see cref="Settings"/>, collecting every fault on the way.</summary>
internal sealed class SettingsParser(
    IReadOnlyDictionary<string, IReadOnlyList<string>> flags, IReadOnlyDictionary<string, string> environment)
{
    private const string NotARange = "is no address range; use CIDR notation, for example 10.0.0.0/8 or fd00::/8";
    private const string NotANamespace = "is no namespace; it must be 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends";
    private const string PostgresStore = "postgres";
    private const int Kibi = 1024;
    private const int Mebi = 1024 * 1024;

    private static readonly Dictionary<string, LogLevel> LogLevels = new(StringComparer.OrdinalIgnoreCase)
    {
        ["trace"] = LogLevel.Trace, ["debug"] = LogLevel.Debug, ["information"] = LogLevel.Information,
        ["info"] = LogLevel.Information, ["warning"] = LogLevel.Warning, ["warn"] = LogLevel.Warning,
        ["error"] = LogLevel.Error, ["critical"] = LogLevel.Critical,
    };

    private static readonly Dictionary<string, LogFormat> LogFormats = new(StringComparer.OrdinalIgnoreCase)
    {
        ["text"] = LogFormat.Text, ["json"] = LogFormat.Json,
    };

    private readonly List<string> _faults = [];
    private string? _store;

    public SettingsOrFaults Parse()
    {
        _store = Single(Setting.Store);
        var settings = new Settings
        {
            Manifests = Manifests(),
            Namespaces = [.. Namespaces()],
            LeaseNamespace = LeaseNamespace(),
            LeaseName = LeaseName(),
            StorePath = StorePath(),
            Postgres = Postgres(),
            Listen = Address(Setting.Listen, Settings.DefaultListen),
            Metrics = Address(Setting.Metrics, Settings.DefaultMetrics),
            Retention = Duration(Setting.Retention, TimeSpan.FromHours(168), TimeSpan.FromMinutes(1), TimeSpan.FromDays(3650)),
            AllowCidrs = [.. AllowCidrs()],
            AllowHttp = Switch(Setting.AllowHttp),
            ApiTokenFile = TokenFile(),
            MaxEventBytes = Bytes(Setting.MaxEventBytes, 256 * Kibi, 64 * Mebi, "256Ki"),
            MaxBatchBytes = Bytes(Setting.MaxBatchBytes, Mebi, 256 * Mebi, "1Mi"),
            BacklogLimit = BacklogLimit(),
            ShutdownGrace = Duration(Setting.ShutdownGrace, TimeSpan.FromSeconds(25), TimeSpan.Zero, TimeSpan.FromMinutes(10)),
            LogLevel = OneOf(Setting.LogLevel, LogLevels, LogLevel.Information,
                "trace, debug, information, warning, error or critical"),
            LogFormat = OneOf(Setting.LogFormat, LogFormats, LogFormat.Text, "text or json"),
        };
        CheckTogether(settings);
        return _faults.Count == 0 ? new SettingsOrFaults(settings, []) : new SettingsOrFaults(null, [.. _faults]);
    }

    private void CheckTogether(Settings settings)
    {
        if (settings.Listen.Port != 0 && settings.Listen.Port == settings.Metrics.Port)
        {
            _faults.Add(Invariant($"{Setting.Listen.Flag} and {Setting.Metrics.Flag} both take port {settings.Listen.Port}; ")
                + $"give them different ports, for example {Setting.Metrics.Flag} http://127.0.0.1:9090.");
        }
        if (settings.Manifests is null && settings.ApiTokenFile is not null)
        {
            _faults.Add($"{Given(Setting.ApiTokenFile)} is for {Setting.Manifests.Flag}; in a cluster callers send their ServiceAccount's token, "
                + "and RBAC says what they may. Leave it out.");
        }
        if (settings.Manifests is not null && settings.ApiTokenFile is null && !settings.Listen.IsLoopback)
        {
            _faults.Add($"{Given(Setting.Listen)}: \"{settings.Listen.OriginalString}\" is reachable from other machines, and "
                + $"without {Setting.ApiTokenFile.Flag} anyone could publish events and read the delivery log. Add "
                + $"{Setting.ApiTokenFile.Flag} FILE, or listen on {Settings.DefaultListen}.");
        }
        if (settings.MaxBatchBytes < settings.MaxEventBytes)
        {
            _faults.Add(Invariant($"{Given(Setting.MaxBatchBytes)}: {settings.MaxBatchBytes} bytes is less than the ")
                + Invariant($"{settings.MaxEventBytes} bytes of {Setting.MaxEventBytes.Flag}; a batch must have room for one event."));
        }
    }

    private string? Manifests()
    {
        if (Single(Setting.Manifests) is not { } path)
            return null;
        if (File.Exists(path))
            Fault(Setting.Manifests, path, "is a file; name the folder that holds the manifests");
        else if (!Directory.Exists(path))
            Fault(Setting.Manifests, path, "is no folder that exists; create it, or name another");
        return path;
    }

    private IEnumerable<string> Namespaces()
    {
        foreach (var name in Values(Setting.Namespace))
        {
            if (!IsNamespace(name))
            {
                Fault(Setting.Namespace, name, NotANamespace);
            }
            yield return name;
        }
    }

    private string? LeaseNamespace()
    {
        var value = Single(Setting.LeaseNamespace);
        if (value is not null && !IsNamespace(value))
            Fault(Setting.LeaseNamespace, value, NotANamespace);
        return value;
    }

    private string LeaseName()
    {
        var value = Single(Setting.LeaseName) ?? Settings.DefaultLeaseName;
        if (value.Length > 253 || !value.Split('.').All(IsNamespace))
            Fault(Setting.LeaseName, value, "is no name of a Lease; it must be a-z, 0-9, '-' and '.', with a letter or digit at both ends");
        return value;
    }

    private string StorePath()
    {
        const string Scheme = "sqlite:";
        var value = _store ?? Settings.DefaultStore;
        if (value == PostgresStore)
            return Settings.DefaultStore[Scheme.Length..];
        var path = value.StartsWith(Scheme, StringComparison.Ordinal) ? value[Scheme.Length..] : "";
        if (value.StartsWith("postgres", StringComparison.Ordinal))
        {
            // Not quoted: it may well hold a password.
            _faults.Add($"{Given(Setting.Store)}: a connection string does not belong here, where every user of the machine can read it; "
                + $"use {PostgresStore}, and put the connection string into {Settings.PostgresVariable}.");
        }
        else if (path.Length == 0)
            Fault(Setting.Store, value, $"is no store; use sqlite:PATH, for example {Settings.DefaultStore}, or {PostgresStore}");
        else if (Directory.Exists(path))
            Fault(Setting.Store, value, "is a folder; name a file in it, for example sqlite:" + Path.Combine(path, "webhook-operator.db"));
        else if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder && !Directory.Exists(folder))
            Fault(Setting.Store, value, $"is in the folder {folder}, which does not exist; create it first");
        return path;
    }

    private ConnectionText? Postgres()
    {
        if (_store != PostgresStore)
            return null;
        if (environment.TryGetValue(Settings.PostgresVariable, out var text) && text.Trim().Length > 0)
        {
            if (PostgresFault(text.Trim()) is { } fault)
                _faults.Add($"{Settings.PostgresVariable}: {fault}");
            return new ConnectionText(text.Trim());
        }
        Fault(Setting.Store, PostgresStore, $"takes its connection string from {Settings.PostgresVariable}, which is not set; "
            + "for example Host=db.example;Database=webhooks;Username=webhook_operator;Password=…");
        return null;
    }

    /// <summary>All that can be told without the server; never holds what the text says, since the password is in it.</summary>
    private static string? PostgresFault(string text)
    {
        try
        {
            ServerAddress.Parse(text).Dispose();
            return null;
        }
        catch (StoreOpenException e)
        {
            return e.Message;
        }
    }

    private Uri Address(Setting setting, string standard)
    {
        var value = Single(setting) ?? standard;
        if (!Uri.TryCreate(value, UriKind.Absolute, out var url) || url.Scheme != Uri.UriSchemeHttp
            || url.PathAndQuery != "/" || url.UserInfo.Length > 0 || url.Fragment.Length > 0)
        {
            Fault(setting, value, $"is no address to listen on; use http://ADDRESS:PORT, for example {standard}, "
                + "or http://0.0.0.0:PORT for all interfaces");
            return new Uri(standard);
        }
        // Kestrel would take any other host name for "all interfaces".
        if (url.HostNameType is UriHostNameType.Dns && url.Host != "localhost")
        {
            Fault(setting, value, $"names a host; use an IP address of this machine or localhost, for example {standard}");
            return new Uri(standard);
        }
        if (url is { Port: 0, HostNameType: UriHostNameType.Dns })
        {
            Fault(setting, value, "can't take a free port on localhost; use http://127.0.0.1:0");
            return new Uri(standard);
        }
        return url;
    }

    private IEnumerable<IPNetwork> AllowCidrs()
    {
        foreach (var value in Values(Setting.AllowCidr))
        {
            var slash = value.IndexOf('/', StringComparison.Ordinal);
            if (!IPAddress.TryParse(slash < 0 ? value : value.AsSpan(0, slash), out var address))
                Fault(Setting.AllowCidr, value, NotARange);
            else if (slash < 0)
                Fault(Setting.AllowCidr, value, $"has no prefix length; for this one address write {One(address)}");
            else if (!IPNetwork.TryParse(value, out var network))
                Fault(Setting.AllowCidr, value, NotARange);
            else if (!network.BaseAddress.Equals(address))
                Fault(Setting.AllowCidr, value, $"has bits set after its prefix; write {network}, or {One(address)} for this one address");
            else
                yield return network;
        }

        static string One(IPAddress address) => $"{address}/{address.GetAddressBytes().Length * 8}";
    }

    private string? TokenFile()
    {
        if (Single(Setting.ApiTokenFile) is not { } path)
            return null;
        try
        {
            if (!File.ReadLines(path).Any(line => !string.IsNullOrWhiteSpace(line)))
                Fault(Setting.ApiTokenFile, path, "has no token in it; write one on a line, for example: openssl rand -hex 32 > " + path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            Fault(Setting.ApiTokenFile, path, "can't be read: " + e.Message);
        }
        return path;
    }

    private int Bytes(Setting setting, int standard, int most, string example)
    {
        if (Single(setting) is not { } value)
            return standard;
        if (ByteQuantity.TryParse(value, out var bytes) && bytes >= Kibi && bytes <= most)
            return (int)bytes;
        Fault(setting, value, Invariant($"must be 1Ki to {most / Mebi}Mi, as bytes or with Ki or Mi; for example {example}"));
        return standard;
    }

    private long BacklogLimit()
    {
        if (Single(Setting.BacklogLimit) is not { } value)
            return 10_000_000;
        if (long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0)
            return count;
        Fault(Setting.BacklogLimit, value, "must be a whole number from 1, for example 10000000");
        return 1;
    }

    private TimeSpan Duration(Setting setting, TimeSpan standard, TimeSpan least, TimeSpan most)
    {
        if (Single(setting) is not { } value)
            return standard;
        if (KubeDuration.TryParse(value, out var duration) && duration >= least && duration <= most)
            return duration;
        Fault(setting, value, $"must be {KubeDuration.Format(least)} to {KubeDuration.Format(most)}, written with h, m, s or ms; "
            + $"for example {KubeDuration.Format(standard)}");
        return standard;
    }

    private bool Switch(Setting setting)
    {
        if (Single(setting) is not { } value)
            return false;
        if (bool.TryParse(value, out var on))
            return on;
        Fault(setting, value, "must be true or false");
        return false;
    }

    private T OneOf<T>(Setting setting, Dictionary<string, T> words, T standard, string choice)
    {
        if (Single(setting) is not { } value)
            return standard;
        if (words.TryGetValue(value, out var found))
            return found;
        Fault(setting, value, "must be " + choice);
        return standard;
    }

    /// <summary>Null where it was not given.</summary>
    private string? Single(Setting setting)
    {
        if (!flags.TryGetValue(setting.Flag, out var given) || given.Count == 0)
            return environment.TryGetValue(setting.Variable, out var value) && value.Length > 0 ? value.Trim() : null;
        if (given.Count > 1)
            _faults.Add(Invariant($"{setting.Flag} is given {given.Count} times ({string.Join(", ", given)}); give it once."));
        if (given[0].Length > 0)
            return given[0];
        _faults.Add($"{setting.Flag} has an empty value; leave the flag out for the default, or give it a value.");
        return null;
    }

    private IEnumerable<string> Values(Setting setting)
    {
        if (flags.TryGetValue(setting.Flag, out var given) && given.Count > 0)
            return given;
        return environment.TryGetValue(setting.Variable, out var list)
            ? list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) : [];
    }

    /// <summary>Where the value came from, in the words of the person who gave it.</summary>
    private string Given(Setting setting) =>
        flags.ContainsKey(setting.Flag) || !environment.TryGetValue(setting.Variable, out var value) || value.Length == 0
            ? setting.Flag : setting.Variable;

    private void Fault(Setting setting, string value, string sentence) =>
        _faults.Add($"{Given(setting)}: \"{value}\" {sentence}.");

    private static bool IsNamespace(string name) =>
        name.Length is > 0 and <= 63 && name[0] != '-' && name[^1] != '-'
        && name.All(c => c is >= 'a' and <= 'z' or >= '0' and <= '9' or '-');

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
