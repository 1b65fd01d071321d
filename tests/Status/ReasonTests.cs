using System.Text.RegularExpressions;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Status;

/// <summary>docs/troubleshooting.md has a section for each reason that the operator gives.</summary>
public sealed partial class ReasonTests
{
    /// <summary>Where reasons are given: conditions, Events, and what disables a subscription.</summary>
    private static readonly string[] Folders = ["Reconcile", "Status", "Cluster", Path.Combine("Engine", "Delivery")];

    /// <summary>Words that are no reasons, by what they are.</summary>
    private static readonly HashSet<string> Others =
    [
        // A condition's status, and a circuit's state.
        "True", "False", "Unknown", "Closed", "Open", "HalfOpen",
        // What an Event's action says beside its reason.
        "Reconcile", "Deliver", "OpenCircuit", "CloseCircuit", "Disable", "Enable", "CreateKeys", "RotateKeys",
        // Kinds, a type of Secret, a header, and loops in the log.
        "Namespace", "Secret", "SubjectAccessReview", "TokenReview", "Opaque", "Authorization", "Upkeep", "Polling",
    ];

    [Fact]
    public void Each_reason_has_a_section()
    {
        var sections = Section().Matches(File.ReadAllText(Path.Combine(Repository.Root, "docs", "troubleshooting.md")))
            .SelectMany(match => match.Groups[1].Value.Split(", ")).ToList();

        Assert.Distinct(sections);
        Assert.Equal(Reasons().Order(StringComparer.Ordinal), sections.Order(StringComparer.Ordinal));
    }

    private static IEnumerable<string> Reasons()
    {
        var source = Folders.Select(folder => Path.Combine(Repository.Root, "operator", folder)).Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories)).Select(File.ReadAllText);
        var literals = source.SelectMany(text => text.Split('\n'))
            .Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal))
            .SelectMany(line => Literal().Matches(line)).Select(match => match.Groups[1].Value);
        // A failing receiver's reason is the class of its last failure; of deliveries that merely expired, there is none.
        return literals.Concat(Enum.GetNames<ErrorClass>().Where(name => name is not (nameof(ErrorClass.None) or nameof(ErrorClass.Expired))))
            .Distinct().Where(word => !Others.Contains(word));
    }

    [GeneratedRegex("""(?<!cref=)"([A-Z][A-Za-z]+)["]""")]
    private static partial Regex Literal();

    [GeneratedRegex("^### (.+)$", RegexOptions.Multiline)]
    private static partial Regex Section();
}
