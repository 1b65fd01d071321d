namespace WebhookOperator.Tests.Testing;

/// <summary>The source tree that the tests were built from.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "WebhookOperator.sln")))
            folder = Path.GetDirectoryName(folder)
                ?? throw new InvalidOperationException("No WebhookOperator.sln above the test assembly.");
        return folder;
    }
}
