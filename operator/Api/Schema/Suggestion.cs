namespace WebhookOperator.Api.Schema;

/// <summary>Finds what somebody meant to write.</summary>
internal static class Suggestion
{
    /// <summary>The known word nearest to the one written, or null if none is near enough to be a slip.</summary>
    public static string? For(string written, IEnumerable<string> known)
    {
        string? best = null;
        var bestDistance = Math.Max(1, Math.Min(3, written.Length / 3)) + 1;
        foreach (var word in known)
        {
            var distance = Distance(written.ToLowerInvariant(), word.ToLowerInvariant(), bestDistance);
            if (distance >= bestDistance)
                continue;
            best = word;
            bestDistance = distance;
        }
        return best;
    }

    /// <summary>Insertions, deletions, substitutions and swaps of neighbours; <paramref name="limit"/> if as many or more.</summary>
    private static int Distance(string a, string b, int limit)
    {
        if (Math.Abs(a.Length - b.Length) >= limit)
            return limit;
        var before = new int[b.Length + 1];
        var previous = new int[b.Length + 1];
        var current = new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++)
            previous[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            current[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = a[i - 1] == b[j - 1] ? 0 : 1;
                current[j] = Math.Min(Math.Min(current[j - 1], previous[j]) + 1, previous[j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    current[j] = Math.Min(current[j], before[j - 2] + 1);
            }
            (before, previous, current) = (previous, current, before);
        }
        return Math.Min(limit, previous[b.Length]);
    }
}
