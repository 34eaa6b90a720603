/** Contract suites for authors of plug-ins (needs vitest): `import { describeSampler } from "tts-var/testing"`. */
import { TtsVarError } from "../core/errors.ts";
import type { Generator } from "../core/generator.ts";

export type { GeneratorContractOptions } from "./generator-contract.ts";
export type { RewardContractOptions } from "./reward-contract.ts";
export type { SamplerServerUnderTest } from "./server-client.ts";
export type { StrategyContractOptions } from "./strategy-contract.ts";

// Looked for first: the suites import it, and Node's own error would name a file of this package.
await import("vitest").catch((cause: unknown) => {
  throw new TtsVarError(
    "USAGE",
    "tts-var/testing is made of vitest suites, and vitest is not installed: npm install --save-dev vitest",
    { cause },
  );
});

export const { describeSampler } = await import("./generator-contract.ts");
export const { describeStrategy } = await import("./strategy-contract.ts");
export const { describeReward } = await import("./reward-contract.ts");
export const { describeSamplerServer } = await import("./server-contract.ts");

/**
 * The generator behind a server's address, for `describeSampler`.
 *
 * @param token what the server demands; default: `TTSVAR_SAMPLER_TOKEN`
 * @throws TtsVarError MODEL_RUNTIME when nobody answers, MODEL_INVALID for another protocol
 */
export async function openServed(url: string, token?: string): Promise<Generator> {
  const { remoteDefinition } = await import("../generators/remote/definition.ts");
  const { env } = process;
  return remoteDefinition(url, token === undefined ? env : { ...env, TTSVAR_SAMPLER_TOKEN: token }).open();
}
