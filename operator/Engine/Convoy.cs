namespace WebhookOperator.Engine;

/// <summary>Something that has more to send, once the convoy that it is part of has been through.</summary>
internal interface IHeld
{
    /// <summary>Sends it. Must not throw.</summary>
    void Release();
}

/// <summary>
/// Work that came up together and sends something: it is done one after another on one thread of the pool, and what it sends
/// goes out after the last. Sent one by one, on busy processors each request would find its receiver asleep, wake it, and be
/// interrupted by it; those that go out together are found together.
/// </summary>
internal sealed class Convoy : IThreadPoolWorkItem
{
    /// <summary>Few enough that the first does not wait noticeably for those behind it.</summary>
    private const int Most = 16;

    [ThreadStatic]
    private static bool s_forming;

    /// <summary>Null while it has no members.</summary>
    [ThreadStatic]
    private static Convoy? s_next;

    [ThreadStatic]
    private static Convoy? s_underWay;

    private readonly List<IThreadPoolWorkItem> _members = [];
    private readonly List<IHeld> _held = [];

    private Convoy()
    {
    }

    /// <summary>The one whose work this thread does just now.</summary>
    public static Convoy? UnderWay => s_underWay;

    /// <summary>What this thread adds until the formation is disposed of sets out together. Within another, it is part of that.</summary>
    public static Formation Form()
    {
        var outermost = !s_forming;
        s_forming = true;
        return new Formation(outermost);
    }

    /// <summary>To be called while a formation is open. A member must not throw.</summary>
    public static void Add(IThreadPoolWorkItem member)
    {
        var convoy = s_next ??= new Convoy();
        convoy._members.Add(member);
        if (convoy._members.Count == Most)
            SetOut();
    }

    /// <summary>Releases it once the convoy has been through. To be called by its members, on the thread that they run on.</summary>
    public void Hold(IHeld held) => _held.Add(held);

    void IThreadPoolWorkItem.Execute()
    {
        s_underWay = this;
        foreach (var member in _members)
            member.Execute();
        s_underWay = null;
        foreach (var held in _held)
            held.Release();
    }

    private static void SetOut()
    {
        if (s_next is not { } convoy)
            return;
        s_next = null;
        ThreadPool.UnsafeQueueUserWorkItem(convoy, preferLocal: false);
    }

    /// <summary>Open from <see cref="Form"/> on; to be disposed of on the same thread.</summary>
    public readonly ref struct Formation(bool outermost)
    {
        public void Dispose()
        {
            if (!outermost)
                return;
            s_forming = false;
            SetOut();
        }
    }
}
