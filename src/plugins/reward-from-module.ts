import { TtsVarError } from "../core/errors.ts";
import {
  factoryMark,
  type RewardDefinition,
  type RewardDraft,
  type RewardFactory,
  type RewardHost,
} from "../core/plugin.ts";
import type { Reward, RewardScores } from "../core/reward.ts";
import { checkShape, parseOptions, rewardShape, runFactory } from "./check-shape.ts";
import { type LoadedModule, type LoadedPlugin, loadModule } from "./load-module.ts";

/**
 * Loads a reward from `./file.mjs|js|cjs|ts` or `npm:package` in the calling thread.
 *
 * @throws PLUGIN_INVALID, CONFIG_INVALID
 */
export async function rewardFromModule(
  spec: string,
  options: unknown,
  host: RewardHost,
): Promise<LoadedPlugin<Reward>> {
  const module = await loadModule("reward", spec, host.baseDir);
  return { value: await fromModule(module, options, host), provenance: module.provenance };
}

/** A default export is a marked factory, a definition (`create`), a finished reward (`score`) or the shorthand. */
async function fromModule(module: LoadedModule, options: unknown, host: RewardHost): Promise<Reward> {
  const what = `reward plug-in ${module.provenance.spec}`;
  const { value } = module;
  if (typeof value === "function") {
    if (factoryMark in value) {
      const draft = await runFactory(
        () => (value as unknown as RewardFactory<unknown>)(options ?? {}, host),
        what,
      );
      return finish(draft, module, what);
    }
    return finish({ score: value as RewardDraft["score"] }, module, what);
  }
  if (typeof value !== "object" || value === null) {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `${what}: the default export is a ${typeof value}, not a function; write "export default async (batch) => batch.map(...)"`,
    );
  }
  if ("create" in value && typeof value.create === "function") {
    const definition = value as RewardDefinition;
    const parsed = definition.options ? await parseOptions(definition.options, options, what) : options;
    return finish(await runFactory(() => definition.create(parsed, host), what), module, what);
  }
  return finish(value as RewardDraft, module, what);
}

function finish(draft: unknown, module: LoadedModule, what: string): Reward {
  if (typeof draft !== "object" || draft === null) {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `${what}: its factory returned ${draft === null ? "null" : typeof draft}, not an object with score()`,
    );
  }
  checkShape(rewardShape, draft, what);
  return completeReward(draft as RewardDraft, {
    name: module.name,
    version: module.provenance.identity,
    source: module.provenance.spec,
  });
}

/** TTS-VAR's own lambda, for rewards that name none. */
const defaultLambda = 10;

/** Fills in what a plug-in left out. `version` also carries the hash of the file and its imports: an edited one is a new reward. */
function completeReward(
  draft: RewardDraft,
  defaults: { readonly name: string; readonly version: string; readonly source: string },
): Reward {
  const name = draft.name ?? defaults.name;
  return {
    name,
    version: draft.version === undefined ? defaults.version : `${draft.version}+${defaults.version}`,
    direction: draft.direction ?? "higher",
    range: draft.range ?? null,
    suggestedLambda: draft.suggestedLambda ?? defaultLambda,
    flops: draft.flops ?? 0,
    license: draft.license ?? "not stated",
    source: draft.source ?? defaults.source,
    ...(draft.atoms === undefined ? {} : { atoms: draft.atoms }),
    ...(draft.modelId === undefined ? {} : { modelId: draft.modelId }),
    ...(draft.maxBatch === undefined ? {} : { maxBatch: draft.maxBatch }),
    ...(draft.timeoutMs === undefined ? {} : { timeoutMs: draft.timeoutMs }),
    score: async (batch, context) => asScores(await draft.score(batch, context), name),
    [Symbol.asyncDispose]: async () => {
      await draft[Symbol.asyncDispose]?.();
    },
  };
}

/** Accepts `{ scores, details? }` or a bare list. */
function asScores(result: unknown, name: string): RewardScores {
  if (isList(result)) return { scores: result };
  if (typeof result === "object" && result !== null) {
    if ("scores" in result && isList(result.scores)) return result as RewardScores;
    if ("score" in result) {
      throw new TtsVarError(
        "REWARD_FAILED",
        `reward ${name} returned an object with score(); a factory needs defineReward: export default defineReward(...)`,
      );
    }
  }
  throw new TtsVarError(
    "REWARD_FAILED",
    `reward ${name} returned ${describe(result)} instead of a list with one number per item`,
  );
}

function isList(value: unknown): value is ArrayLike<number | null> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === "object"
    ? `an object with ${Object.keys(value).join(", ") || "no properties"}`
    : `${typeof value} ${String(value)}`;
}
