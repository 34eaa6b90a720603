import { SampleRunner } from "../../eval/run-sample.ts";
import type { SampleJob, SampleResult } from "../../eval/sample-job.ts";
import { serveParent } from "../../queue/worker-protocol.ts";
import { createProgress } from "../progress.ts";
import { partsOpener, seconds } from "./open-parts.ts";

// The program of a worker process: searches for the parent until the parent is gone.
const runner = new SampleRunner(partsOpener(createProgress(true)), seconds);
// Ctrl-C reaches the whole group; the parent decides what it means.
process.on("SIGINT", () => undefined);
await serveParent<SampleJob, SampleResult>((job, signal) => runner.run(job, { signal }));
process.exit(0);
