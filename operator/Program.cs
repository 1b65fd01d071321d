using System.Runtime.InteropServices;
using WebhookOperator;
using WebhookOperator.Cli;

using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
return await CommandLine.RunAsync(args, ProcessShell.Create(OperatorHost.LaunchAsync), stop.Token);

// The first signal asks verbs to end well; after it the defaults are back, so that a second one ends at once.
void Stop(PosixSignalContext context)
{
    if (stop.IsCancellationRequested)
        return;
    context.Cancel = true;
    stop.Cancel();
}
