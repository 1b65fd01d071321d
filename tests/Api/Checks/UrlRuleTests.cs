using WebhookOperator.Api;
using WebhookOperator.Api.Checks;

namespace WebhookOperator.Tests.Api.Checks;

public sealed class UrlRuleTests
{
    [Theory]
    [InlineData("https://a")]
    [InlineData("http://a/")]
    [InlineData("https://a?x=1")]
    [InlineData("https://a/@b")]
    [InlineData("https://a/b?c=@")]
    [InlineData("https://[::1]/x")]
    [InlineData("https://a/%7Eb")]
    public void These_are_taken_by_the_API_server_too(string url) => Assert.Empty(Check(url));

    [Theory]
    [InlineData("https://")]
    [InlineData("https:///x")]
    [InlineData("//a/b")]
    [InlineData("HTTPS://a")]
    [InlineData("https://a/b c")]
    [InlineData("https://a/b\n")]
    [InlineData("https://a/\0")]
    [InlineData("https://a/%zz")]
    [InlineData("https://a:x/")]
    [InlineData("https://[::1/x")]
    [InlineData("https://a@b")]
    [InlineData("https://a#")]
    public void These_are_refused_by_the_API_server_too(string url) => Assert.NotEmpty(Check(url));

    /// <summary>CEL's isURL lets them pass, but nothing can be sent there.</summary>
    [Theory]
    [InlineData("https://a:99999/")]
    [InlineData("https://a..b")]
    public void These_are_refused_here_alone(string url) => Assert.NotEmpty(Check(url));

    private static IReadOnlyList<FieldFault> Check(string url) =>
        SubscriptionChecks.Check(new WebhookSubscription { Spec = new() { Endpoint = new() { Url = url } } });
}
