/** Entry of a plug-in's own thread: loads it and answers calls. Nothing else runs here. */
import { parentPort, workerData } from "node:worker_threads";
import { TtsVarError } from "../core/errors.ts";
import { toWire } from "../core/wire-error.ts";
import { placeOf } from "./place-of.ts";
import { type Served, servePlugin } from "./served-plugin.ts";
import type { FromThread, ThreadSetup, ToThread } from "./thread-protocol.ts";

const port = parentPort;
if (!port) throw new Error("this module is the entry of a plug-in's thread");
const setup = workerData as ThreadSetup;
const send = (message: FromThread): void => port.postMessage(message);
const log = (level: "debug" | "info" | "warn", message: unknown): void =>
  send({ type: "log", level, message: String(message) });

try {
  const plugin = await servePlugin[setup.kind](setup, log);
  port.on("message", (message: ToThread) => {
    void (message.type === "dispose" ? close(plugin) : answer(plugin, message));
  });
  send({ type: "ready", traits: plugin.traits, provenance: plugin.provenance });
} catch (error) {
  send({ type: "refused", error: toWire(error) });
}

async function answer(plugin: Served, { id, input }: ToThread & { type: "call" }): Promise<void> {
  try {
    send({ type: "answered", id, output: await plugin.answer(input) });
  } catch (error) {
    send({ type: "failed", id, error: toWire(explained(error, plugin)) });
  }
}

/** Uncoded errors with what a user needs to find them: the line, or what was wrong with the answer. */
function explained(error: unknown, { provenance }: Served): unknown {
  if (error instanceof TtsVarError) return error;
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const text =
    name === "DataCloneError"
      ? `its answer is not made of plain values (${message})`
      : `${message}${placeOf(error, provenance.path ?? "")}`;
  return Object.assign(new Error(text), { stack: (error as Error | null)?.stack ?? "" });
}

async function close(plugin: Served): Promise<void> {
  try {
    await plugin[Symbol.asyncDispose]();
  } catch (error) {
    log("warn", `${setup.kind} plug-in ${setup.spec} failed while closing: ${String(error)}`);
  }
  process.exit();
}
