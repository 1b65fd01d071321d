using System.Text;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Local;
using WebhookOperator.Reconcile;

namespace WebhookOperator.Cli;

/// <summary>
/// The reconciler's checks on manifests, for CI pipelines: each file for itself, then what the objects of all
/// files together say of each other. What they name may also exist in the cluster alone, so that is only noted.
/// </summary>
internal sealed class Validation
{
    private const string HeldBack = "is held back unless the operator runs with --allow-http; use https";

    /// <summary>With plain http, since that is noted.</summary>
    private static readonly SubscriptionTranslator Translator = new(allowHttp: true);

    private readonly List<ManifestObject> _objects = [];
    private readonly List<ManifestFault> _faults = [];
    private readonly List<ManifestFault> _notes = [];
    private readonly Dictionary<ResourceKey, ManifestObject> _byKey = [];

    private readonly DateTimeOffset _now;

    private Validation(DateTimeOffset now) => _now = now;

    /// <summary>Prints a line for each fault and each note, and a last one that sums up.</summary>
    /// <param name="paths">Files, folders (all *.yaml, *.yml and *.json below), or <c>-</c> for <paramref name="input"/>.</param>
    /// <param name="input">Standard input.</param>
    /// <param name="output">For everything that is printed.</param>
    /// <param name="time">Certificates must be valid now.</param>
    /// <returns>0 without faults, else 1.</returns>
    public static int Run(IReadOnlyList<string> paths, TextReader input, TextWriter output, TimeProvider time)
    {
        var validation = new Validation(time.GetUtcNow());
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
                    CheckSubscription(item, subscription);
                    break;
                case WebhookSecret secret:
                    CheckWebhookSecret(item, secret);
                    break;
            }
        }
    }

    private void CheckSubscription(ManifestObject item, WebhookSubscription subscription)
    {
        var spec = subscription.Spec;
        var endpoint = spec.Endpoint!;
        if (endpoint.Auth?.Oauth2?.TokenUrl?.StartsWith("http://", StringComparison.Ordinal) == true)
            _notes.Add(item.Fault("spec.endpoint.auth.oauth2.tokenUrl", HeldBack));

        foreach (var part in EndpointPart.Of(endpoint))
            CheckPart(item, subscription, part);
        // Whether it has keys is told where it stands.
        if (spec.Signing?.SecretRef?.Name is { } signing)
            Find(item, "spec.signing.secretRef.name", WebhookSecret.KubeKind, signing);
    }

    /// <summary>Tries what is made from Secrets as the operator would, if they are all among the files.</summary>
    private void CheckPart(ManifestObject item, WebhookSubscription subscription, EndpointPart part)
    {
        var secrets = new Dictionary<string, V1Secret>(StringComparer.Ordinal);
        var complete = true;
        foreach (var key in part.Keys)
        {
            if (FindKey(item, part.Field, key) is { } secret)
                secrets[key.Name!] = secret;
            else
                complete = false;
        }
        if (!complete)
            return;
        var alone = subscription with { Spec = subscription.Spec with { Endpoint = part.Endpoint, Signing = null } };
        var outcome = Translator.Translate(alone, new Surroundings(secrets, null), lastFilter: null, _now);
        foreach (var condition in outcome.State.Conditions)
        {
            if (condition is { Type: ConditionTypes.Stalled, Status: true })
                _faults.Add(item.Fault(part.Field, $"{condition.Reason}: {condition.Message}"));
            else if (condition is { Type: ConditionTypes.Reconciling, Status: true })
                _notes.Add(item.Fault(part.Field, $"{condition.Reason}: {condition.Message}"));
        }
        if (outcome.Subscription.Endpoint is { IsClusterService: false } endpoint && endpoint.Url.Scheme == Uri.UriSchemeHttp)
            _notes.Add(item.Fault(part.Field, HeldBack));
    }

    private void CheckWebhookSecret(ManifestObject item, WebhookSecret secret)
    {
        const string field = "spec.source.secretKeyRef";
        if (_byKey.TryGetValue(new ResourceKey(V1Secret.KubeKind, item.Key.Namespace, KeySecret.NameFor(item.Key.Name)), out var namesake)
            && !KeySecret.IsMadeFor((V1Secret)namesake.Resource, secret))
        {
            _faults.Add(namesake.Fault("metadata.name",
                $"must not be {namesake.Key.Name}, where {item.Key} keeps its keys (SecretConflict): rename one of them"));
        }
        var spec = secret.Spec;
        if (spec.Source?.SecretKeyRef is not { } reference || FindKey(item, field, reference) is not { } source)
            return;
        var algorithm = Enum.TryParse<SigningAlgorithm>(spec.Algorithm, out var named) ? named : SigningAlgorithm.HmacSha256;
        if (!SigningKey.TryParse(Encoding.UTF8.GetString(source.Data[reference.Key!]).Trim(), algorithm, out _, out var error))
            _faults.Add(item.Fault(field, $"names a signing key that {error}"));
    }

    /// <summary>The Secret that has the key, or null if that is not among the files.</summary>
    private V1Secret? FindKey(ManifestObject item, string field, SecretKeyReference reference)
    {
        if (Find(item, $"{field}.name", V1Secret.KubeKind, reference.Name!)?.Resource is not V1Secret secret)
            return null;
        if (secret.Data.ContainsKey(reference.Key!))
            return secret;
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
