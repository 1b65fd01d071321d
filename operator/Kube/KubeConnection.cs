using System.Reflection;
using k8s;

namespace WebhookOperator.Kube;

/// <summary>No way to an API server could be found, or the one that was named is not usable.</summary>
internal sealed class KubeConnectionException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The way to the API server: a client, and what its configuration says besides.</summary>
internal sealed class KubeConnection : IDisposable
{
    private const string Variable = "KUBECONFIG";
    private const string ServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

    private KubeConnection(IKubernetes client, string @namespace, string source)
    {
        Client = client;
        Namespace = @namespace;
        Source = source;
    }

    public IKubernetes Client { get; }

    /// <summary>That of the kubeconfig's context, or the pod's own; <c>default</c> where neither says.</summary>
    public string Namespace { get; }

    /// <summary>Where the configuration was found, for the log.</summary>
    public string Source { get; }

    /// <summary>
    /// Looks for a configuration: the given file, else those of <c>KUBECONFIG</c>, else the service account of the pod,
    /// else <c>~/.kube/config</c>. Does not connect yet.
    /// </summary>
    /// <exception cref="KubeConnectionException">None is there, or the one that is can't be used; says which and why.</exception>
    public static KubeConnection Open(string? kubeconfigPath)
    {
        var (source, build) = Find(kubeconfigPath);
        try
        {
            var configuration = build();
            var token = new RenewableToken(configuration, build, TimeProvider.System);
            configuration.TokenProvider = token.IsNeeded ? token : null;
            configuration.UserAgent = UserAgent();
            configuration.FirstMessageHandlerSetup = handler => Connections(handler, configuration.TlsServerName);
            var client = new Kubernetes(configuration, new UnauthorizedRetry(token));
            return new KubeConnection(client, configuration.Namespace?.Trim() is { Length: > 0 } name ? name : "default", source);
        }
        catch (Exception e) when (e is not KubeConnectionException)
        {
            throw new KubeConnectionException($"The Kubernetes configuration from {source} can't be used: {e.Message}", e);
        }
    }

    public void Dispose() => Client.Dispose();

    private static (string Source, Func<KubernetesClientConfiguration> Build) Find(string? path)
    {
        if (path is not null)
            return (path, () => Kubeconfig.Load([path]));
        var variable = Environment.GetEnvironmentVariable(Variable);
        if (!string.IsNullOrEmpty(variable))
            return ($"{Variable}={variable}", () => Kubeconfig.Load(variable.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)));
        if (KubernetesClientConfiguration.IsInCluster())
            return ("the pod's service account", KubernetesClientConfiguration.InClusterConfig);
        var home = KubernetesClientConfiguration.KubeConfigDefaultLocation;
        if (File.Exists(home))
            return (home, () => Kubeconfig.Load([home]));
        throw new KubeConnectionException(
            $"No way to a Kubernetes API server is configured. Looked at: the environment variable {Variable} (not set); a pod's "
            + $"service account (KUBERNETES_SERVICE_HOST and {ServiceAccount}/token: not both there); {home} (no such file). "
            + "Set one of them, or run without Kubernetes on a folder: --manifests DIR.");
    }

    /// <summary>A connection that died silently is noticed within 25 s, as long as it is HTTP/2.</summary>
    private static void Connections(SocketsHttpHandler handler, string? tlsServerName)
    {
        handler.ConnectTimeout = TimeSpan.FromSeconds(10);
        handler.KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests;
        handler.KeepAlivePingDelay = TimeSpan.FromSeconds(15);
        handler.KeepAlivePingTimeout = TimeSpan.FromSeconds(10);
        handler.PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1);
        handler.EnableMultipleHttp2Connections = true;
        handler.AllowAutoRedirect = false;
        if (!string.IsNullOrEmpty(tlsServerName))
            handler.SslOptions.TargetHost = tlsServerName;
    }

    private static string UserAgent()
    {
        var assembly = typeof(KubeConnection).Assembly.GetName();
        var version = typeof(KubeConnection).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;
        return $"{assembly.Name}/{version?.Split('+')[0] ?? assembly.Version?.ToString(3)}";
    }
}
