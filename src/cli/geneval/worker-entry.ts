import { partsOpener } from "../../assemble/open-parts.ts";
import { SampleRunner } from "../../eval/run-sample.ts";
import type { SampleJob, SampleResult } from "../../eval/sample-job.ts";
import { serveParent } from "../../queue/worker-protocol.ts";
import { seconds } from "../../run/clock.ts";
import { leave } from "../leave.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";

// The program of a worker process: searches for the parent until the parent is gone.
const runner = new SampleRunner(
  partsOpener((allowDownload) => pluginHost(allowDownload, createProgress(true))),
  seconds,
);
// Ctrl-C reaches the whole group; the parent decides what it means.
process.on("SIGINT", () => undefined);
// Warnings of a coordinator's worker must not end it when nobody reads them any more.
process.stderr.on("error", () => undefined);
await serveParent<SampleJob, SampleResult>((job, signal) => runner.run(job, { signal }));
// The coordinator waits for this process, but looks at no exit code.
await leave(0, { signal: "SIGKILL", msAgo: 0 });
