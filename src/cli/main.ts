import { firstInterrupt } from "./interrupt.ts";
import { leave } from "./leave.ts";
import { runCommandLine } from "./run.ts";
import { finishStdout, guardStreams } from "./streams.ts";

guardStreams();
const code = await runCommandLine(process.argv.slice(2));
const interrupted = firstInterrupt();
// Plug-ins may leave timers or sockets behind; the results are written, so the program ends here.
await leave(await finishStdout(code, interrupted !== undefined), interrupted);
