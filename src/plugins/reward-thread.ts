/** Entry of a reward plug-in's own thread: loads it and answers scoring calls. Nothing else runs here. */
import { parentPort, workerData } from "node:worker_threads";
import { TtsVarError } from "../core/errors.ts";
import type { RewardHost } from "../core/plugin.ts";
import type { Reward } from "../core/reward.ts";
import { rewardFromModule } from "./reward-from-module.ts";
import { type FromThread, type ThreadSetup, type ToThread, wireError } from "./thread-protocol.ts";

const port = parentPort;
if (!port) throw new Error("this module is the entry of a plug-in's thread");
const setup = workerData as ThreadSetup;
const send = (message: FromThread): void => port.postMessage(message);

const host: RewardHost = {
  baseDir: setup.baseDir,
  allowDownload: setup.allowDownload,
  log: (level, message) => send({ type: "log", level, message: String(message) }),
  loadReward: () => Promise.reject(partsRefused()),
  describeReward: () => Promise.reject(partsRefused()),
};

function partsRefused(): TtsVarError {
  return new TtsVarError(
    "PLUGIN_INVALID",
    `reward plug-in ${setup.spec}: a plug-in cannot load other rewards; mix it with them by the reward "weighted"`,
  );
}

try {
  const { value: reward, provenance } = await rewardFromModule(setup.spec, setup.options, host);
  port.on("message", (message: ToThread) => answer(reward, message));
  const { score: _score, [Symbol.asyncDispose]: _dispose, ...traits } = reward;
  send({ type: "ready", traits, provenance });
} catch (error) {
  send({ type: "refused", error: wireError(error) });
}

async function answer(reward: Reward, message: ToThread): Promise<void> {
  if (message.type === "dispose") {
    await Promise.resolve(reward[Symbol.asyncDispose]()).catch((error: unknown) => {
      host.log("warn", `reward plug-in ${setup.spec} failed while closing: ${String(error)}`);
    });
    process.exit();
  }
  const { id, batch, stage, seed } = message;
  try {
    // The thread ends when the caller gives up, so this signal never fires.
    const { signal } = new AbortController();
    const { scores, details } = await reward.score(batch, { signal, stage, seed, log: host.log });
    send({ type: "scored", id, scores: Array.from(scores), ...(details && { details }) });
  } catch (error) {
    send({ type: "failed", id, error: wireError(error) });
  }
}
