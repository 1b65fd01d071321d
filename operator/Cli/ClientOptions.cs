using System.CommandLine;

namespace WebhookOperator.Cli;

/// <summary>The options that every verb that calls the HTTP API has.</summary>
internal sealed class ClientOptions
{
    public const string ServerVariable = "WEBHOOK_OPERATOR_SERVER";

    private readonly Option<string> _server;

    private readonly Option<string> _tokenFile = new("--token-file")
    {
        HelpName = "FILE", Description = "A file whose first line is the token to send, where the operator asks for one.",
    };

    private readonly Option<string> _namespace = new("--namespace", "-n")
    {
        HelpName = "NS", Description = "The namespace.", DefaultValueFactory = _ => "default",
    };

    private readonly Shell _shell;

    private ClientOptions(Shell shell, string[] serverAliases)
    {
        _shell = shell;
        _server = new Option<string>("--server", serverAliases)
        {
            HelpName = "URL", Description = $"The operator's HTTP API. Default: {Settings.DefaultListen}. [{ServerVariable}]",
        };
    }

    public static ClientOptions AddTo(Verb command, Shell shell, params string[] serverAliases)
    {
        var options = new ClientOptions(shell, serverAliases);
        command.Add(options._server);
        command.Add(options._tokenFile);
        command.Add(options._namespace);
        command.Check(options.Faults);
        return options;
    }

    public string Namespace(ParseResult parsed) => parsed.GetValue(_namespace)!;

    /// <summary><c>v1/namespaces/NS/</c>, escaped.</summary>
    public string NamespacePath(ParseResult parsed) => $"v1/namespaces/{Uri.EscapeDataString(Namespace(parsed))}/";

    /// <inheritdoc cref="ApiClient(Uri, string?, TimeSpan?)"/>
    public ApiClient Connect(ParseResult parsed, TimeSpan? patience = null) =>
        new(new Uri(Server(parsed.GetValue(_server)).Value), parsed.GetValue(_tokenFile) is { } file ? Token(file) : null, patience);

    private IEnumerable<string> Faults(TypedText typed)
    {
        var (origin, value) = Server(typed.Of(_server));
        if (!Uri.TryCreate(value, UriKind.Absolute, out var url) || (url.Scheme != Uri.UriSchemeHttp && url.Scheme != Uri.UriSchemeHttps))
            yield return $"{origin}: \"{value}\" is no address; use http://HOST:PORT, for example {Settings.DefaultListen}.";
        if (typed.Of(_tokenFile) is { } file && !File.Exists(file))
            yield return $"--token-file: there is no file \"{file}\".";
    }

    private (string Origin, string Value) Server(string? typed) =>
        typed is not null ? ("--server", typed)
        : _shell.Environment.TryGetValue(ServerVariable, out var value) && value.Length > 0 ? (ServerVariable, value)
        : ("--server", Settings.DefaultListen);

    private static string Token(string file)
    {
        try
        {
            return File.ReadLines(file).Select(line => line.Trim()).FirstOrDefault(line => line.Length > 0)
                ?? throw new VerbFailedException($"The token file {file} is empty; its first line must be the token.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new VerbFailedException($"The token file {file} can't be read: {e.Message}");
        }
    }
}
