using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>What is made of an answer, good or bad.</summary>
public sealed class SenderAnswerTests : IDisposable
{
    private readonly SenderFixture _fixture = new();

    public void Dispose() => _fixture.Dispose();

    [Theory]
    [InlineData(200, "thanks")]
    [InlineData(201, "")]
    [InlineData(204, "")]
    [InlineData(299, "odd")]
    public async Task Success(int code, string body)
    {
        await using var receiver = await Receiver.StartAsync(Answers.Status(code, body));
        var result = await _fixture.SendAsync(receiver.Url);
        Assert.Equal((code, ErrorClass.None, null), (result.StatusCode, result.Error, result.Message));
        Assert.Equal(body, Text(result));
    }

    [Theory]
    [InlineData(304)]
    [InlineData(400)]
    [InlineData(401)]
    [InlineData(410)]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(599)]
    public async Task A_status_that_is_no_success(int code)
    {
        await using var receiver = await Receiver.StartAsync(Answers.Status(code, code == 304 ? "" : "no"));
        var result = await _fixture.SendAsync(receiver.Url);
        Assert.Equal((code, ErrorClass.HttpStatus), (result.StatusCode, result.Error));
        Assert.StartsWith($"The receiver answered {code}", result.Message);
        Assert.Equal(code == 304 ? "" : "no", Text(result));
    }

    [Theory]
    [InlineData(301)]
    [InlineData(302)]
    [InlineData(303)]
    [InlineData(307)]
    [InlineData(308)]
    public async Task A_redirect_is_told_and_not_followed(int code)
    {
        await using var target = await Receiver.StartAsync();
        await using var receiver = await Receiver.StartAsync(Answers.Redirect($"{target.Url}?token=secret", code));

        var result = await _fixture.SendAsync(receiver.Url);

        Assert.Equal((code, ErrorClass.HttpStatus), (result.StatusCode, result.Error));
        Assert.Contains($"to {target.Url}; redirects are not followed", result.Message);
        Assert.DoesNotContain("secret", result.Message);
        Assert.Empty(target.Requests);
    }

    [Theory]
    [InlineData("120", 120)]
    [InlineData("Fri, 02 Jan 2026 03:05:05 GMT", 60)]
    [InlineData("86400", 86400)]
    [InlineData("99999999", 99999999)]
    [InlineData("0", null)]
    [InlineData("-5", null)]
    [InlineData("soon", null)]
    [InlineData("99999999999999999999", null)]
    [InlineData("Thu, 01 Jan 2026 00:00:00 GMT", null)]
    public async Task RetryAfter_is_read_in_both_forms(string header, int? seconds)
    {
        await using var receiver = await Receiver.StartAsync(Answers.Status(503, headers: ("Retry-After", header)));
        var result = await _fixture.SendAsync(receiver.Url);
        Assert.Equal(seconds is { } s ? TimeSpan.FromSeconds(s) : null, result.RetryAfter);
    }

    [Fact]
    public async Task Of_100_MB_only_the_beginning_is_read_and_kept()
    {
        await using var receiver = await Receiver.StartAsync(Answers.Large(100_000_000));
        var result = await _fixture.SendAsync(receiver.Url);
        Assert.Equal(200, result.StatusCode);
        Assert.Equal(Sender.KeptBytes, result.Body.Length);
    }

    [Fact]
    public async Task Nothing_is_unpacked()
    {
        await using var receiver = await Receiver.StartAsync(Answers.GzipBomb(100_000_000));
        var result = await _fixture.SendAsync(receiver.Url);
        Assert.Equal(200, result.StatusCode);
        Assert.Equal([0x1f, 0x8b], result.Body[..2].ToArray());
        Assert.InRange(result.Body.Length, 2, Sender.KeptBytes);
    }

    [Theory]
    [InlineData(200, nameof(ErrorClass.None))]
    [InlineData(500, nameof(ErrorClass.HttpStatus))]
    public async Task A_body_that_drips_without_end_is_cut_off_and_the_verdict_stands(int code, string error)
    {
        await using var receiver = new RawReceiver($"HTTP/1.1 {code} So be it\r\ncontent-length: 1000\r\n\r\nbegun", closes: false);
        var result = await SendUntilAnsweredAsync(receiver.Url);

        Assert.Equal((code, error), (result.StatusCode, result.Error.ToString()));
        Assert.Equal("begun", Text(result));
    }

    [Fact]
    public async Task A_body_that_breaks_off_changes_nothing()
    {
        await using var receiver = new RawReceiver("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbegun");
        var result = await _fixture.SendAsync(receiver.Url);
        Assert.Equal((200, ErrorClass.None, "begun"), (result.StatusCode, result.Error, Text(result)));
    }

    [Fact]
    public async Task Without_an_answer_a_cancelled_request_throws()
    {
        await using var receiver = await Receiver.StartAsync(Answers.Hang);
        using var cut = new CancellationTokenSource();
        var sending = _fixture.SendAsync(new() { Url = receiver.Url }, cancellation: cut.Token);
        await receiver.WaitForAsync(1);
        await cut.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nx-slow: ")]
    [InlineData("HTTP/1.1 ")]
    [InlineData("HTTP/1.1 100 Continue\r\n\r\n")]
    [InlineData("")]
    public async Task Half_an_answer_is_none(string begun)
    {
        await using var receiver = new RawReceiver(begun, closes: false);
        using var cut = new CancellationTokenSource();
        var sending = _fixture.SendAsync(new() { Url = receiver.Url }, cancellation: cut.Token);
        await receiver.AnsweredAsync();
        await cut.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
    }

    [Fact]
    public async Task What_the_receiver_says_is_kept_short_in_the_message()
    {
        await using var receiver = new RawReceiver(
            $"HTTP/1.1 302 {new string('x', 20_000)}\r\nlocation: http://a.example/{new string('y', 20_000)}\r\ncontent-length: 0\r\n\r\n");
        var result = await _fixture.SendAsync(receiver.Url);
        Assert.Equal(302, result.StatusCode);
        Assert.InRange(result.Message!.Length, 1, 600);
    }

    /// <summary>Cuts the request off; again, and later, as long as that came before the body of the answer.</summary>
    private async Task<SendResult> SendUntilAnsweredAsync(Uri url)
    {
        for (var wait = TimeSpan.FromMilliseconds(50); ; wait *= 2)
        {
            using var cut = new CancellationTokenSource(wait);
            try
            {
                var result = await _fixture.SendAsync(new() { Url = url }, cancellation: cut.Token);
                if (!result.Body.IsEmpty || wait > TimeSpan.FromSeconds(30))
                    return result;
            }
            catch (OperationCanceledException) when (wait < TimeSpan.FromSeconds(30))
            {
            }
        }
    }

    private static string Text(SendResult result) => System.Text.Encoding.UTF8.GetString(result.Body.Span);
}
