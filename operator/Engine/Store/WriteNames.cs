namespace WebhookOperator.Engine.Store;

/// <summary>The values of the label <c>operation</c>.</summary>
internal static class WriteNames
{
    public const string Enqueue = "enqueue";
    public const string Settle = "settle";
    public const string SaveState = "save_state";
    public const string Redeliver = "redeliver";
    public const string Replay = "replay";
    public const string EndPending = "end_pending";
    public const string Sweep = "sweep";
    public const string Probe = "probe";

    public static readonly string[] All = [Enqueue, Settle, SaveState, Redeliver, Replay, EndPending, Sweep, Probe];
}
