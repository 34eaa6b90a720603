/** Entry of a plug-in's own thread: loads it and answers calls. Nothing else runs here. */
import { parentPort, workerData } from "node:worker_threads";
import { TtsVarError } from "../core/errors.ts";
import type { RgbImage } from "../core/image.ts";
import type { RewardHost } from "../core/plugin.ts";
import { answerCall, type Reply } from "../threads/calls.ts";
import { placeOf } from "./check-shape.ts";
import { featuresFromModule } from "./features-from-module.ts";
import type { PluginProvenance } from "./load-module.ts";
import type { RewardCall } from "./load-reward.ts";
import type { FromThread, Ready, ThreadKind, ThreadSetup, ToThread } from "./plugin-thread.ts";
import { rewardFromModule } from "./reward-from-module.ts";

/** A plug-in as its thread serves it: what is told of it at the start, and how it answers a call. */
interface Served extends AsyncDisposable {
  readonly traits: object;
  readonly provenance: PluginProvenance;
  answer(input: unknown): Promise<unknown>;
}

/** Loads the plug-in of each kind in the calling thread. @throws PLUGIN_INVALID, CONFIG_INVALID */
const servePlugin: Readonly<
  Record<ThreadKind, (setup: ThreadSetup, log: RewardHost["log"]) => Promise<Served>>
> = {
  async reward(setup, log) {
    const { spec, options } = setup;
    const host: RewardHost = {
      ...hostOf(setup, log),
      loadReward: () => Promise.reject(partsRefused(spec)),
      describeReward: () => Promise.reject(partsRefused(spec)),
    };
    const { value, provenance } = await rewardFromModule(spec, options, host);
    const { score: _score, [Symbol.asyncDispose]: _dispose, ...traits } = value;
    // The thread ends when the caller gives up, so this signal never fires.
    const { signal } = new AbortController();
    return {
      traits,
      provenance,
      async answer(input) {
        const { batch, stage, seed } = input as RewardCall;
        const { scores, details } = await value.score(batch, { signal, stage, seed, log });
        return { scores: Array.from(scores), ...(details && { details }) };
      },
      [Symbol.asyncDispose]: () => value[Symbol.asyncDispose](),
    };
  },
  async features(setup, log) {
    const { value, provenance } = await featuresFromModule(setup.spec, setup.options, hostOf(setup, log));
    const { name, version, flops, timeoutMs } = value;
    return {
      traits: { name, version, flops, timeoutMs },
      provenance,
      answer: (input) => value.extract(input as readonly RgbImage[]),
      [Symbol.asyncDispose]: () => value[Symbol.asyncDispose](),
    };
  },
};

function hostOf({ baseDir, allowDownload }: ThreadSetup, log: RewardHost["log"]) {
  return { baseDir, allowDownload, log };
}

function partsRefused(spec: string): TtsVarError {
  return new TtsVarError(
    "PLUGIN_INVALID",
    `reward plug-in ${spec}: a plug-in cannot load other rewards; mix it with them by the reward "weighted"`,
  );
}

const port = parentPort;
if (!port) throw new Error("this module is the entry of a plug-in's thread");
const setup = workerData as ThreadSetup;
const send = (message: FromThread): void => port.postMessage(message);
const reply = (answer: Reply): void => send({ type: "reply", ...answer });
const log = (level: "debug" | "info" | "warn", message: unknown): void =>
  send({ type: "log", level, message: String(message) });

let plugin: Served;

async function load(): Promise<Ready> {
  plugin = await servePlugin[setup.kind](setup, log);
  return { traits: plugin.traits, provenance: plugin.provenance };
}

async function close(): Promise<void> {
  try {
    await plugin[Symbol.asyncDispose]();
  } catch (error) {
    log("warn", `${setup.kind} plug-in ${setup.spec} failed while closing: ${String(error)}`);
  }
  process.exit();
}

/** Uncoded errors with what a user needs to find them: the line, or what was wrong with the answer. */
function explained(error: unknown): unknown {
  if (error instanceof TtsVarError) return error;
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const text =
    name === "DataCloneError"
      ? `its answer is not made of plain values (${message})`
      : `${message}${placeOf(error, plugin.provenance.path ?? "")}`;
  return Object.assign(new Error(text), { stack: (error as Error | null)?.stack ?? "" });
}

port.on("message", (message: ToThread) => {
  if (message.type === "load") void answerCall(reply, message.id, load);
  else if (message.type === "call")
    void answerCall(reply, message.id, () => plugin.answer(message.input), explained);
  else void close();
});
