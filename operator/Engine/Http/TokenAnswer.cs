using System.Diagnostics.CodeAnalysis;

namespace WebhookOperator.Engine.Http;

/// <summary>What came of asking for an access token: the token, or why there is none.</summary>
internal sealed record TokenAnswer
{
    private TokenAnswer(string? token, string? fault, TimeSpan keptFor)
    {
        Token = token;
        Fault = fault;
        KeptFor = keptFor;
    }

    public string? Token { get; }

    /// <summary>A sentence for people. Null if and only if there is a token.</summary>
    public string? Fault { get; }

    /// <summary>For so long it is not asked again.</summary>
    public TimeSpan KeptFor { get; }

    [MemberNotNullWhen(false, nameof(Fault))]
    [MemberNotNullWhen(true, nameof(Token))]
    public bool Succeeded => Token is not null;

    public static TokenAnswer Of(string token, TimeSpan keptFor) => new(token, null, keptFor);

    public static TokenAnswer Failed(string fault, TimeSpan keptFor) => new(null, fault, keptFor);

    /// <summary>Without the token, wherever it is printed.</summary>
    public override string ToString() => Fault ?? "a token";
}
