using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Testing;

/// <summary>
/// A real API server on etcd, on ports of its own, with RBAC and an audit log of what ServiceAccounts do. No
/// controllers run: nothing collects what owners leave, and deleted namespaces stay.
/// </summary>
internal sealed class ControlPlane : IAsyncDisposable
{
    private const string AdminToken = "administrator";
    private const int Tries = 3;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly TempFolder _folder = new();
    private readonly VersionedProgram _etcdProgram;
    private readonly VersionedProgram _serverProgram;
    private readonly int _etcdPort = Ports.Free();
    private readonly int _port = Ports.Free();
    private ChildProcess? _etcd;
    private ChildProcess? _server;
    private HttpMessageInvoker? _http;
    private int _namespaces;

    private ControlPlane(VersionedProgram etcd, VersionedProgram server)
    {
        _etcdProgram = etcd;
        _serverProgram = server;
        Admin = new Kubectl(_folder.File("admin.kubeconfig"), _folder.File("kubectl-cache"));
    }

    public Version Version => _serverProgram.Version;

    /// <summary>Whether it knows x-kubernetes-validations; older servers drop the rules.</summary>
    public bool HasCel => Version >= new Version(1, 25);

    /// <summary>
    /// Skips the test where server-side apply is a beta: there, what a manager leaves out does not always go away, such as
    /// a condition of the operator's that no longer holds.
    /// </summary>
    public void NeedsServerSideApply() =>
        Assert.SkipUnless(HasServerSideApply, $"API server {Version} has server-side apply as a beta only.");

    /// <summary>Skips the test where the chart, and the manifests that are the same objects, can't be installed.</summary>
    public void NeedsWhatTheChartNeeds() =>
        Assert.SkipUnless(Version >= new Version(1, 30), $"The chart is for Kubernetes 1.30 and later, and the API server is {Version}.");

    public bool HasServerSideApply => Version >= new Version(1, 22);

    /// <summary>
    /// For kubectl apply of CRDs, after its other flags: a server that does not know the rules takes them neither checked
    /// nor by server-side apply.
    /// </summary>
    public string[] CrdFlags => HasCel ? [] : ["--validate=false", "--server-side=false"];

    public Uri Url => new($"https://127.0.0.1:{_port}");

    /// <summary>kubectl as a member of system:masters.</summary>
    public Kubectl Admin { get; }

    /// <summary>What ServiceAccounts have asked of the server so far.</summary>
    public AuditLog Audit => new(_folder.File("audit.log"));

    /// <summary>Starts both programs, and waits until the server is ready.</summary>
    public static async Task<ControlPlane> StartAsync(VersionedProgram server)
    {
        var etcd = (await ControlPlanePrograms.FindAsync()).Etcd;
        for (var tried = 1; ; tried++)
        {
            var plane = new ControlPlane(etcd, server);
            try
            {
                await plane.PrepareAsync();
                await plane.StartEtcdAsync();
                await plane.StartServerAsync();
                return plane;
            }
            catch (InvalidOperationException) when (tried < Tries)
            {
                // A port that was free a moment ago was taken by another program.
                await plane.DisposeAsync();
            }
        }
    }

    /// <summary>Starts the API server again after <see cref="StopServerAsync"/>; all that was stored is there.</summary>
    public async Task StartServerAsync()
    {
        _server = await ChildProcess.StartAsync(_serverProgram.Path,
        [
            $"--etcd-servers=http://127.0.0.1:{_etcdPort}",
            "--bind-address=127.0.0.1", $"--secure-port={_port}", $"--cert-dir={_folder.File("certs")}",
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC", $"--token-auth-file={_folder.File("tokens.csv")}",
            "--service-account-issuer=https://kubernetes.default.svc",
            $"--service-account-key-file={_folder.File("sa.key")}", $"--service-account-signing-key-file={_folder.File("sa.key")}",
            // It would refuse pods until a controller has made a ServiceAccount in each namespace.
            "--disable-admission-plugins=ServiceAccount",
            // As on OpenShift: who may not set finalizers of an owner may not let its objects block its deletion.
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
            $"--audit-policy-file={_folder.File("audit.yaml")}", $"--audit-log-path={_folder.File("audit.log")}",
        ]);
        await UntilAsync("the API server is ready", _server, IsReadyAsync);
    }

    /// <summary>Ends the API server without a goodbye.</summary>
    public async Task StopServerAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync();
        _server = null;
    }

    /// <summary>Applies <c>config/crds</c>, and waits until objects of these kinds can be made.</summary>
    public async Task InstallCrdsAsync(bool serverSide = true)
    {
        var folder = Path.Combine(Repository.Root, "config", "crds");
        await Admin.RunAsync(["apply", $"--server-side={serverSide}", "-f", folder, .. CrdFlags]);
        await Admin.RunAsync("wait", "--for=condition=Established", "--timeout=60s", "-f", folder);
    }

    /// <summary>A new namespace for a test: the name with a number.</summary>
    public async Task<string> NamespaceAsync(string name)
    {
        var full = $"{name}-{Interlocked.Increment(ref _namespaces)}";
        await Admin.RunAsync("create", "namespace", full);
        return full;
    }

    /// <summary>A token of a ServiceAccount, from the TokenRequest call.</summary>
    /// <param name="audience">Null means the API server.</param>
    /// <param name="lifetime">At least 10 min; null is an hour.</param>
    public async Task<string> TokenAsync(string @namespace, string account, string? audience = null, TimeSpan? lifetime = null) =>
        (await Admin.RunAsync([
            "create", "token", account, "-n", @namespace,
            .. audience is null ? Array.Empty<string>() : ["--audience", audience],
            .. lifetime is null ? Array.Empty<string>() : ["--duration", $"{lifetime.Value.TotalSeconds}s"],
        ])).Trim();

    /// <summary>kubectl with the rights of a ServiceAccount, and with its token.</summary>
    public async Task<Kubectl> AsServiceAccountAsync(string @namespace, string account) => Admin with
    {
        Kubeconfig = await WriteKubeconfigAsync($"{@namespace}.{account}", new() { ["token"] = await TokenAsync(@namespace, account) }),
    };

    public async ValueTask DisposeAsync()
    {
        await StopServerAsync();
        if (_etcd is not null)
            await _etcd.DisposeAsync();
        _http?.Dispose();
        _folder.Dispose();
    }

    private async Task PrepareAsync()
    {
        using var key = RSA.Create(2048);
        await File.WriteAllTextAsync(_folder.File("sa.key"), key.ExportRSAPrivateKeyPem());
        await File.WriteAllTextAsync(_folder.File("tokens.csv"), $"{AdminToken},admin,admin,\"system:masters\"\n");
        await File.WriteAllTextAsync(_folder.File("audit.yaml"), AuditLog.Policy);
        await WriteKubeconfigAsync("admin", new() { ["token"] = AdminToken });
    }

    private async Task StartEtcdAsync()
    {
        var client = $"http://127.0.0.1:{_etcdPort}";
        _etcd = await ChildProcess.StartAsync(_etcdProgram.Path,
        [
            "--data-dir", _folder.File("etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", $"http://127.0.0.1:{Ports.Free()}", "--unsafe-no-fsync",
        ]);
    }

    /// <summary>Over TLS that trusts what the server wrote at its first start, and nothing else.</summary>
    private async Task<bool> IsReadyAsync()
    {
        if (!File.Exists(CertificateFile))
            return false;
        try
        {
            _http ??= new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false, SslOptions = Trust() });
            using var response = await _http.SendAsync(new HttpRequestMessage(HttpMethod.Get, new Uri(Url, "/readyz"))
            {
                Headers = { { "Authorization", $"Bearer {AdminToken}" } },
            }, CancellationToken.None);
            return response.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or CryptographicException)
        {
            // Not listening yet, or the certificate is half written: read without one, the file would never be trusted.
            _http?.Dispose();
            _http = null;
            return false;
        }
    }

    private string CertificateFile => Path.Combine(_folder.File("certs"), "apiserver.crt");

    private SslClientAuthenticationOptions Trust()
    {
        var chain = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        chain.CustomTrustStore.ImportFromPemFile(CertificateFile);
        return new SslClientAuthenticationOptions { CertificateChainPolicy = chain };
    }

    private async Task<string> WriteKubeconfigAsync(string user, JsonObject credentials)
    {
        var file = _folder.File($"{user}.kubeconfig");
        // Written beside and moved: whoever reads it meanwhile must not see the half of it.
        await File.WriteAllTextAsync(file + ".new", new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Config",
            ["clusters"] = Named("test", "cluster", new() { ["server"] = Url.ToString(), ["certificate-authority"] = CertificateFile }),
            ["users"] = Named(user, "user", credentials),
            ["contexts"] = Named("test", "context", new() { ["cluster"] = "test", ["user"] = user }),
            ["current-context"] = "test",
        }.ToJsonString());
        File.Move(file + ".new", file, overwrite: true);
        return file;

        static JsonArray Named(string name, string what, JsonObject value) => [new JsonObject { ["name"] = name, [what] = value }];
    }

    private static async Task UntilAsync(string what, ChildProcess process, Func<Task<bool>> condition)
    {
        var start = TimeProvider.System.GetTimestamp();
        while (!await condition())
        {
            if (process.HasExited)
                throw new InvalidOperationException($"Waiting until {what}, the program ended:\n{process.Output}");
            if (TimeProvider.System.GetElapsedTime(start) > Deadline)
                throw new TimeoutException($"Not reached within {Deadline.TotalSeconds} s: {what}.\n{process.Output}");
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        }
    }
}
