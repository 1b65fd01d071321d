using System.Text;
using WebhookOperator.Engine;

namespace WebhookOperator.Tests.Engine;

public sealed class JsonBytesTests
{
    private readonly JsonBytes _json = new(default);

    [Fact]
    public void Threads_that_write_at_once_do_not_see_each_other_s()
    {
        var wrong = 0;

        Parallel.For(0, 8, worker =>
        {
            for (var i = 0; i < 2000; i++)
                if (Write($"{worker}-{i}") != $"\"{worker}-{i}\"")
                    Interlocked.Increment(ref wrong);
        });

        Assert.Equal(0, wrong);
    }

    [Fact]
    public void What_fails_half_way_leaves_nothing_to_the_next()
    {
        Assert.Throws<InvalidOperationException>(() => _json.Write(0, static (writer, _) =>
        {
            writer.WriteStartArray();
            writer.WriteNumberValue(1);
            writer.Flush();
            throw new InvalidOperationException();
        }));

        Assert.Equal("\"next\"", Write("next"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1 << 20)]
    public void Any_length_comes_out_whole(int length)
    {
        var text = new string('x', length);

        Assert.Equal($"\"{text}\"", Write(text));
        Assert.Equal("\"short\"", Write("short"));
    }

    private string Write(string text) => Encoding.UTF8.GetString(_json.Write(text, static (writer, text) => writer.WriteStringValue(text)));
}
