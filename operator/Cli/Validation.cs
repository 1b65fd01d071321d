using System.Collections.Immutable;
using System.Text;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Local;

namespace WebhookOperator.Cli;

/// <summary>
/// The reconciler's checks on manifests, for CI pipelines: each file for itself, then what the objects of all
/// files together say of each other. What they name may also exist in the cluster alone, so that is only noted.
/// </summary>
internal sealed class Validation
{
    private readonly List<ManifestObject> _objects = [];
    private readonly List<ManifestFault> _faults = [];
    private readonly List<ManifestFault> _notes = [];
    private readonly Dictionary<ResourceKey, ManifestObject> _byKey = [];

    private Validation() { }

    /// <summary>Prints a line for each fault and each note, and a last one that sums up.</summary>
    /// <param name="paths">Files, folders (all *.yaml, *.yml and *.json below), or <c>-</c> for <paramref name="input"/>.</param>
    /// <param name="input">Standard input.</param>
    /// <param name="output">For everything that is printed.</param>
    /// <returns>0 without faults, else 1.</returns>
    public static int Run(IReadOnlyList<string> paths, TextReader input, TextWriter output)
    {
        var validation = new Validation();
        foreach (var path in paths)
            validation.Add(path, input);
        validation.CheckReferences();

        foreach (var fault in Sorted(validation._faults))
            output.WriteLine(fault);
        foreach (var note in Sorted(validation._notes))
            output.WriteLine(note with { Message = $"note: {note.Message}" });
        var objects = validation._objects.Count;
        output.WriteLine(validation._faults.Count == 0
            ? $"{objects} objects, no faults"
            : $"{objects} objects without faults, {validation._faults.Count} faults");
        return validation._faults.Count == 0 ? 0 : 1;
    }

    private void Add(string path, TextReader input)
    {
        if (path == "-")
        {
            AddText("<stdin>", input.ReadToEnd());
        }
        else if (Directory.Exists(path))
        {
            var listing = FolderListing.Read(path);
            foreach (var error in listing.Errors)
                _faults.Add(new ManifestFault(path, 1, 1, "", error));
            if (listing.Files.Count == 0)
                _faults.Add(new ManifestFault(path, 1, 1, "", "holds no *.yaml, *.yml or *.json file"));
            foreach (var file in listing.Files.Keys)
                AddFile(Path.Combine(path, file));
        }
        else
        {
            AddFile(path);
        }
    }

    private void AddFile(string path)
    {
        try
        {
            AddText(path, File.ReadAllText(path, new UTF8Encoding(false, throwOnInvalidBytes: true)));
        }
        catch (DecoderFallbackException)
        {
            _faults.Add(new ManifestFault(path, 1, 1, "", "is not UTF-8 text: save it as UTF-8"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _faults.Add(new ManifestFault(path, 1, 1, "", $"can't be read: {e.Message}"));
        }
    }

    private void AddText(string name, string text)
    {
        var contents = ManifestReader.Read(name, text);
        _faults.AddRange(contents.Faults);
        _notes.AddRange(contents.Ignored);
        foreach (var item in contents.Objects)
        {
            if (_byKey.TryGetValue(item.Key, out var first))
                _faults.Add(item.Fault("metadata.name", $"must not name {item.Key} again: {first.File}:{first.Line} does"));
            else
                _byKey[item.Key] = item;
            _objects.Add(item);
        }
    }

    private void CheckReferences()
    {
        foreach (var item in _byKey.Values)
        {
            switch (item.Resource)
            {
                case WebhookSubscription subscription:
                    CheckSubscription(item, subscription.Spec);
                    break;
                case WebhookSecret secret:
                    CheckWebhookSecret(item, secret.Spec);
                    break;
            }
        }
    }

    private void CheckSubscription(ManifestObject item, WebhookSubscriptionSpec spec)
    {
        const string field = "spec.endpoint";
        var endpoint = spec.Endpoint!;
        if (endpoint.Url?.StartsWith("http://", StringComparison.Ordinal) == true)
            _notes.Add(item.Fault($"{field}.url", "is held back unless the operator runs with --allow-http; use https"));
        if (endpoint.Auth?.Oauth2?.TokenUrl?.StartsWith("http://", StringComparison.Ordinal) == true)
            _notes.Add(item.Fault($"{field}.auth.oauth2.tokenUrl", "is held back unless the operator runs with --allow-http; use https"));

        CheckKey(item, $"{field}.urlFrom.secretKeyRef", endpoint.UrlFrom?.SecretKeyRef);
        for (var i = 0; i < endpoint.Headers?.Count; i++)
            CheckKey(item, $"{field}.headers[{i}].valueFrom.secretKeyRef", endpoint.Headers[i].ValueFrom?.SecretKeyRef);
        CheckKey(item, $"{field}.auth.bearer.tokenSecretRef", endpoint.Auth?.Bearer?.TokenSecretRef);
        CheckKey(item, $"{field}.auth.apiKey.valueSecretRef", endpoint.Auth?.ApiKey?.ValueSecretRef);
        foreach (var key in endpoint.Auth?.Basic is null ? ImmutableArray<string>.Empty : ["username", "password"])
        {
            CheckKey(item, $"{field}.auth.basic.secretRef",
                new SecretKeyReference { Name = endpoint.Auth?.Basic?.SecretRef?.Name, Key = key });
        }
        CheckKey(item, $"{field}.auth.oauth2.clientSecretRef", endpoint.Auth?.Oauth2?.ClientSecretRef);
        CheckTls(item, $"{field}.tls", endpoint.Tls);
        if (spec.Signing?.SecretRef?.Name is { } signing)
            Find(item, "spec.signing.secretRef.name", WebhookSecret.KubeKind, signing);
    }

    private void CheckTls(ManifestObject item, string field, TlsSpec? tls)
    {
        string? error;
        if (CheckKey(item, $"{field}.caSecretRef", tls?.CaSecretRef) is { } bundle)
        {
            if (PemCertificates.TryRead(Encoding.UTF8.GetString(bundle), out var authorities, out error))
                authorities.Dispose();
            else
                _faults.Add(item.Fault($"{field}.caSecretRef", $"names a key that {error}"));
        }
        if (tls?.ClientCertificateSecretRef is not { Name: { } name })
            return;
        field += ".clientCertificateSecretRef";
        var certificate = CheckKey(item, field, new SecretKeyReference { Name = name, Key = "tls.crt" });
        var key = CheckKey(item, field, new SecretKeyReference { Name = name, Key = "tls.key" });
        if (certificate is null || key is null)
            return;
        if (!PemCertificates.TryRead(Encoding.UTF8.GetString(certificate), out var chain, out error))
        {
            _faults.Add(item.Fault(field, $"names a Secret whose key tls.crt {error}"));
            return;
        }
        if (PemCertificates.TryAddKey(chain[0], Encoding.UTF8.GetString(key), out var identity, out error))
            identity.Dispose();
        else
            _faults.Add(item.Fault(field, $"names a Secret whose key tls.key {error}"));
        chain.Dispose();
    }

    private void CheckWebhookSecret(ManifestObject item, WebhookSecretSpec spec)
    {
        const string field = "spec.source.secretKeyRef";
        if (CheckKey(item, field, spec.Source?.SecretKeyRef) is not { } bytes)
            return;
        var algorithm = Enum.TryParse<SigningAlgorithm>(spec.Algorithm, out var named) ? named : SigningAlgorithm.HmacSha256;
        if (!SigningKey.TryParse(Encoding.UTF8.GetString(bytes).Trim(), algorithm, out _, out var error))
            _faults.Add(item.Fault(field, $"names a signing key that {error}"));
    }

    /// <summary>The value, or null if it is not among the files.</summary>
    private byte[]? CheckKey(ManifestObject item, string field, SecretKeyReference? reference)
    {
        if (reference is null || Find(item, $"{field}.name", V1Secret.KubeKind, reference.Name!)?.Resource is not V1Secret secret)
            return null;
        if (secret.Data.TryGetValue(reference.Key!, out var value))
            return value;
        var keys = secret.Data.Count == 0 ? "it has none" : $"it has {string.Join(", ", secret.Data.Keys.Order())}";
        _faults.Add(item.Fault($"{field}.key", $"must be a key of the Secret {reference.Name}, which has no {reference.Key}; {keys}"));
        return null;
    }

    private ManifestObject? Find(ManifestObject item, string field, string kind, string name)
    {
        if (_byKey.TryGetValue(new ResourceKey(kind, item.Key.Namespace, name), out var found))
            return found;
        _notes.Add(item.Fault(field, $"the {kind} {item.Key.Namespace}/{name} is in none of these files, so it must exist where they go"));
        return null;
    }

    private static IEnumerable<ManifestFault> Sorted(List<ManifestFault> faults) => faults
        .Distinct()
        .OrderBy(fault => fault.File, StringComparer.Ordinal).ThenBy(fault => fault.Line).ThenBy(fault => fault.Column);
}
