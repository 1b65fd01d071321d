using WebhookOperator.Api.Schema;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Tests.Api.Schema;

public sealed class YamlScalarTests
{
    /// <summary>What kubectl sends to the API server for each of them.</summary>
    [Theory]
    [InlineData("yes", nameof(ScalarKind.Boolean))]
    [InlineData("y", nameof(ScalarKind.Boolean))]
    [InlineData("Off", nameof(ScalarKind.Boolean))]
    [InlineData("true", nameof(ScalarKind.Boolean))]
    [InlineData("tRue", nameof(ScalarKind.String))]
    [InlineData("'yes'", nameof(ScalarKind.String))]
    [InlineData("!!str yes", nameof(ScalarKind.String))]
    [InlineData("~", nameof(ScalarKind.Null))]
    [InlineData("null", nameof(ScalarKind.Null))]
    [InlineData("\"\"", nameof(ScalarKind.String))]
    [InlineData("1.5", nameof(ScalarKind.Float))]
    [InlineData("1e3", nameof(ScalarKind.Float))]
    [InlineData(".inf", nameof(ScalarKind.Float))]
    [InlineData("08", nameof(ScalarKind.Float))]
    [InlineData("1.2.3", nameof(ScalarKind.String))]
    [InlineData("15s", nameof(ScalarKind.String))]
    [InlineData("-a", nameof(ScalarKind.String))]
    [InlineData("+", nameof(ScalarKind.String))]
    [InlineData("0x", nameof(ScalarKind.String))]
    [InlineData("2026-01-31", nameof(ScalarKind.String))]
    public void A_scalar_means_what_it_means_to_kubectl(string yaml, string kind) => Assert.Equal(kind, Read(yaml).Kind.ToString());

    [Theory]
    [InlineData("16", 16)]
    [InlineData("+16", 16)]
    [InlineData("-16", -16)]
    [InlineData("0", 0)]
    [InlineData("010", 8)]
    [InlineData("0o10", 8)]
    [InlineData("0x1F", 31)]
    [InlineData("0b101", 5)]
    [InlineData("1_000", 1000)]
    [InlineData("-9223372036854775808", long.MinValue)]
    public void A_whole_number_may_be_written_in_several_ways(string yaml, long value)
    {
        var scalar = Read(yaml);
        Assert.Equal((ScalarKind.Integer, value), (scalar.Kind, scalar.Integer));
    }

    private static YamlScalar Read(string yaml)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader($"- {yaml}"));
        return YamlScalar.Of((YamlScalarNode)stream.Documents[0].RootNode[0]);
    }
}
