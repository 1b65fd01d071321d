using System.Text;
using System.Text.Json;
using CsCheck;
using WebhookOperator.Kube;

namespace WebhookOperator.Tests.Kube;

/// <summary>Lists and watches arrive in pieces of any size.</summary>
public sealed class JsonStreamTests
{
    private static readonly Gen<string[]> Items = Gen.String[Gen.Char.AlphaNumeric, 0, 300].Array[0, 40];

    [Fact]
    public void A_list_is_the_same_however_it_is_cut_into_pieces() =>
        Gen.Select(Items, Gen.Int[1, 700], Gen.Bool).Sample((texts, piece, metadataLast) =>
        {
            var metadata = "\"metadata\":{\"resourceVersion\":\"17\",\"continue\":\"more\",\"remainingItemCount\":3}";
            var items = $"\"items\":[{string.Join(" ,\n", texts.Select(text => $"{{\"a\":{{\"items\":[1,{{}}]}},\"text\":\"{text}\"}}"))}]";
            var json = $"{{\"kind\":\"List\",{(metadataLast ? items + "," + metadata : metadata + "," + items)}}}";
            var read = new List<string>();
            var result = ListPage.ReadAsync(new Pieces(json, piece), utf8 => read.Add(KubeJson.Read<Text>(utf8)!.Value), () => { }, default)
                .GetAwaiter().GetResult();
            Assert.Equal(texts, read);
            Assert.Equal(new ListMetadata("more", "17"), result);
        });

    [Theory]
    [InlineData("{\"metadata\":{},\"items\":[{\"text\":\"a\"},{\"te")]
    [InlineData("{\"metadata\":{},\"items\":[{\"text\":\"a\"}]")]
    [InlineData("")]
    [InlineData("<html>no Kubernetes here</html>")]
    [InlineData("[1]")]
    public async Task A_list_that_is_none_is_a_fault(string json) =>
        await Assert.ThrowsAnyAsync<JsonException>(() => ListPage.ReadAsync(new Pieces(json, 7), _ => { }, () => { }, default));

    [Fact]
    public async Task A_list_of_nothing_is_a_list()
    {
        var result = await ListPage.ReadAsync(new Pieces("{\"items\":null,\"metadata\":{\"resourceVersion\":\"1\"}}", 5), _ => Assert.Fail("nothing is there"), () => { }, default);
        Assert.Equal(new ListMetadata(null, "1"), result);
    }

    [Fact]
    public void Frames_are_the_same_however_they_are_cut_into_pieces_but_for_one_without_its_end() =>
        Gen.Select(Items, Gen.Int[1, 700], Gen.Int[0, 20]).Sample((texts, piece, cut) =>
        {
            var lines = string.Concat(texts.Select((text, i) =>
                $"{{{(i % 2 == 0 ? "\"type\":\"ADDED\"," : "")}\"object\":{{\"text\":\"{text}\"}}{(i % 2 == 0 ? "" : ",\"type\":\"DELETED\"")}}}\n"));
            var whole = cut == 0 || texts.Length == 0;
            var read = new List<string>();
            WatchStream.ReadAsync(new Pieces(whole ? lines : lines[..^Math.Min(cut, lines.Length)], piece), (kind, utf8) =>
            {
                Assert.Equal(read.Count % 2 == 0 ? WatchFrameKind.Put : WatchFrameKind.Deleted, kind);
                read.Add(KubeJson.Read<Text>(utf8)!.Value);
            }, () => { }, default).GetAwaiter().GetResult();
            Assert.Equal(whole ? texts : texts[..^1], read);
        });

    private sealed record Text([property: System.Text.Json.Serialization.JsonPropertyName("text")] string Value);

    /// <summary>Gives at most so many bytes at a time.</summary>
    private sealed class Pieces(string text, int piece) : MemoryStream(Encoding.UTF8.GetBytes(text))
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(buffer.Length, piece)], cancellationToken);
    }
}
