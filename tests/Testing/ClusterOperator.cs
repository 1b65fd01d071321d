using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Testing;

/// <summary>
/// The real program in cluster mode, as a process with the ServiceAccount and exactly the rights of <c>config/rbac</c>
/// at an API server of its own.
/// </summary>
internal sealed class ClusterOperator : IAsyncDisposable
{
    public const string Audience = "webhook-operator";
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly TempFolder _folder = new();
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler { UseProxy = false });
    private readonly string[] _arguments;
    private ChildProcess? _process;

    private ClusterOperator(ControlPlane plane, string[] arguments)
    {
        Plane = plane;
        Api = new Uri($"http://127.0.0.1:{Ports.Free()}");
        Metrics = new Uri($"http://127.0.0.1:{Ports.Free()}");
        _arguments =
        [
            typeof(Settings).Assembly.Location, "run", "--store", $"sqlite:{_folder.File("webhooks.db")}",
            "--listen", Api.ToString(), "--metrics", Metrics.ToString(), "--allow-http", "--allow-cidr", "127.0.0.0/8",
            "--lease-namespace", OperatorRights.Namespace, .. arguments,
        ];
    }

    public ControlPlane Plane { get; }

    public Uri Api { get; }

    public Uri Metrics { get; }

    /// <summary>What the program has printed so far.</summary>
    public string Output => _process?.Output ?? "";

    /// <summary>Installs the rights, starts the program and waits until it is ready.</summary>
    /// <param name="plane">With the CRDs in it. Not disposed with the operator.</param>
    /// <param name="everyNamespace">Else the rights are for the namespace acme alone, which has to be there.</param>
    /// <param name="arguments">Further flags of <c>run</c>.</param>
    public static async Task<ClusterOperator> StartAsync(ControlPlane plane, bool everyNamespace = true, params string[] arguments)
    {
        await OperatorRights.InstallAsync(plane, everyNamespace);
        var cluster = new ClusterOperator(plane, everyNamespace ? arguments : ["--namespace", "acme", .. arguments]);
        try
        {
            await cluster.LaunchAsync();
            await cluster.UntilReadyAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>As <see cref="StartAsync"/>, but neither installs anything nor waits.</summary>
    /// <param name="kubeconfig">From <see cref="OperatorRights.KubeconfigAsync"/>, while the API server was there.</param>
    public static async Task<ClusterOperator> LaunchAsync(ControlPlane plane, string kubeconfig)
    {
        var cluster = new ClusterOperator(plane, []);
        await cluster.LaunchAsync(kubeconfig);
        return cluster;
    }

    /// <summary>What a verb of the program prints.</summary>
    public static async Task<string> PrintAsync(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("dotnet", [typeof(Settings).Assembly.Location, .. arguments]) { RedirectStandardOutput = true })!;
        var text = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return text;
    }

    /// <summary>SIGTERM, and the exit code.</summary>
    public async Task<int> StopAsync()
    {
        var process = _process!;
        _process = null;
        await using (process)
            return await process.StopAsync();
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        if (_process is not null)
            await _process.DisposeAsync();
        _process = null;
    }

    public async Task LaunchAsync(string? kubeconfig = null) => _process = await ChildProcess.StartAsync("dotnet", _arguments,
        new Dictionary<string, string?> { ["KUBECONFIG"] = kubeconfig ?? await OperatorRights.KubeconfigAsync(Plane) });

    public Task UntilReadyAsync() => UntilAsync("it is ready", async () => (await ReadinessAsync()).Status == 200);

    /// <summary>What <c>/readyz</c> says; status 0 while nothing listens.</summary>
    public Task<(int Status, string Text)> ReadinessAsync() => GetAsync(new Uri(Metrics, "/readyz"), null);

    public async Task<string> ScrapeAsync() => (await GetAsync(new Uri(Metrics, "/metrics"), null)).Text;

    /// <summary>A read of the HTTP API.</summary>
    /// <param name="token">Of a ServiceAccount, for <see cref="Audience"/>; null sends none.</param>
    public Task<(int Status, string Text)> GetAsync(string path, string? token) => GetAsync(new Uri(Api, path), token);

    /// <summary>A call without a body.</summary>
    public Task<(int Status, string Text)> PostAsync(string path, string token) =>
        SendAsync(new HttpRequestMessage(HttpMethod.Post, new Uri(Api, path)), token);

    /// <summary>Publishes a CloudEvent with JSON data, in binary mode.</summary>
    /// <param name="token">Of a ServiceAccount, for <see cref="Audience"/>; null sends none.</param>
    public Task<(int Status, string Text)> PublishAsync(string @namespace, string? token, string id, string type = "com.acme.test", string data = "{}")
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Api, $"/v1/namespaces/{@namespace}/events"))
        {
            Content = new StringContent(data, Encoding.UTF8, new MediaTypeHeaderValue("application/json")),
            Headers = { { "ce-specversion", "1.0" }, { "ce-id", id }, { "ce-source", "/test" }, { "ce-type", type } },
        };
        return SendAsync(request, token);
    }

    /// <summary>A ServiceAccount that may publish or read the log, and its token.</summary>
    public async Task<string> PublisherAsync(string @namespace, params string[] roles)
    {
        await Plane.Admin.RunAsync("create", "serviceaccount", "app", "-n", @namespace);
        foreach (var role in roles)
        {
            await Plane.Admin.RunAsync("create", "rolebinding", role, "-n", @namespace, $"--clusterrole={role}", $"--serviceaccount={@namespace}:app");
            // The server hears of a binding by a watch, and the operator remembers a no.
            string[] right = role == "webhook-publisher" ? ["create", "--subresource=events"] : ["get", "--subresource=deliveries"];
            string[] ask = ["auth", "can-i", .. right, "webhooksubscriptions.webhookoperator.io", "-n", @namespace, $"--as=system:serviceaccount:{@namespace}:app"];
            await UntilAsync($"{role} is granted", async () => (await Plane.Admin.TryAsync(ask)).ExitCode == 0);
        }
        return await Plane.TokenAsync(@namespace, "app", Audience);
    }

    /// <summary>Waits for a state of the world; fails after a deadline of 60 s, or when the program ends.</summary>
    public async Task UntilAsync(string what, Func<Task<bool>> condition)
    {
        var start = TimeProvider.System.GetTimestamp();
        while (!await condition())
        {
            if (_process is { HasExited: true })
                throw new InvalidOperationException($"Waiting until {what}, the operator ended with exit code {_process.ExitCode}:\n{Output}");
            if (TimeProvider.System.GetElapsedTime(start) > Deadline)
                throw new TimeoutException($"Not reached within {Deadline.TotalSeconds} s: {what}. The operator has said:\n{Output}");
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System);
        }
    }

    /// <summary>Waits until a condition of a subscription or WebhookSecret has a status, and returns it.</summary>
    public async Task<JsonNode> ConditionAsync(string @namespace, string resource, string name, string type, string status)
    {
        JsonNode? found = null;
        await UntilAsync($"{type} of {resource} {name} is {status}", async () =>
        {
            var json = await Plane.Admin.TryAsync("get", "-n", @namespace, resource, name, "-o", "json");
            found = json.ExitCode != 0 ? null : (JsonNode.Parse(json.Output)!["status"]?["conditions"] as JsonArray ?? [])
                .FirstOrDefault(condition => (string?)condition!["type"] == type && (string?)condition["status"] == status);
            return found is not null;
        });
        return found!;
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _http.Dispose();
        _folder.Dispose();
    }

    private Task<(int Status, string Text)> GetAsync(Uri uri, string? token) => SendAsync(new HttpRequestMessage(HttpMethod.Get, uri), token);

    private async Task<(int Status, string Text)> SendAsync(HttpRequestMessage request, string? token)
    {
        using (request)
        {
            if (token is not null)
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            try
            {
                using var response = await _http.SendAsync(request, CancellationToken.None);
                return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
            }
            catch (HttpRequestException)
            {
                return (0, "");
            }
        }
    }
}
