using System.Runtime.InteropServices;
using WebhookOperator.Bench;
using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Receiving;

if (args is [ReceiverProgram.Verb, var key])
    return await ReceiverProgram.RunAsync(key);

if (BenchOptions.Parse(args, Console.Error) is not { } options)
    return ExitCodes.Usage;

using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
// Whatever way this process ends by itself, no child outlives it.
AppDomain.CurrentDomain.ProcessExit += (_, _) => ChildProcess.KillAll();
return await Suite.RunAsync(options, Console.Out, stop.Token);

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}
