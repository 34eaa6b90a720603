import { TtsVarError } from "../core/errors.ts";
import {
  factoryMark,
  type RewardDefinition,
  type RewardDraft,
  type RewardFactory,
  type RewardHost,
} from "../core/plugin.ts";
import type { Reward } from "../core/reward.ts";
import { checkShape, rewardShape } from "./check-shape.ts";
import { completeReward } from "./complete-reward.ts";
import { type LoadedModule, type LoadedPlugin, loadModule } from "./load-module.ts";
import { parseOptions } from "./parse-options.ts";
import { runFactory } from "./run-factory.ts";

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
    version: module.provenance.sha256.slice(0, 16),
    source: module.provenance.spec,
  });
}
