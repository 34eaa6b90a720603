import type { PluginHost, RewardDefinition } from "../../src/core/plugin.ts";
import type { RewardItem, RewardTraits } from "../../src/core/reward.ts";
import type { StandardSchema } from "../../src/core/standard-schema.ts";
import { givenFolder } from "../../src/inference/folder/find-folder.ts";
import { modelFlops } from "../../src/inference/folder/model-cost.ts";
import { type ModelFolder, openModelFolder } from "../../src/inference/folder/model-folder.ts";
import { facts } from "./facts.ts";

/** A reward whose weights are no part of this package but lie in a folder that the user gives. */
interface FolderReward<Options extends { readonly model?: string | undefined }> {
  readonly name: "image-reward" | "hps-v2" | "pickscore" | "aesthetic";
  readonly summary: string;
  readonly options: StandardSchema<Options>;
  /** How to make the folder. */
  readonly remedy: string;
  /** What the options change of the traits. `version` is completed by the identity of the weights. */
  traits?(settings: Options): Partial<RewardTraits>;
  /** Before the weights are opened. */
  announce?(settings: Options, host: PluginHost): void;
  open(folder: ModelFolder, settings: Options): Promise<OpenedFolder>;
}

interface OpenedFolder extends AsyncDisposable {
  scores(batch: readonly RewardItem[]): Promise<readonly number[]>;
}

/** Images per call: large graphs take about a second each on a CPU, and calls have a deadline. */
const maxBatch = 8;

/** The definition of such a reward: finds, verifies and describes the folder, which is the same for all of them. */
export function folderReward<Options extends { readonly model?: string | undefined }>(
  reward: FolderReward<Options>,
): RewardDefinition<Options> {
  const { name, summary, options, remedy } = reward;
  const find = (settings: Options, host: PluginHost) => givenFolder(name, settings.model, remedy, host);
  const traitsOf = async (settings: Options, folder: ModelFolder): Promise<RewardTraits> => {
    const { version = "1", ...stated } = reward.traits?.(settings) ?? {};
    return {
      name,
      ...facts[name],
      ...stated,
      version: `${version}+${folder.modelId}`,
      flops: await modelFlops(folder),
      modelId: folder.modelId,
    };
  };
  return {
    name,
    summary,
    license: facts[name].license,
    options,
    async traits(settings, host) {
      const dir = await find(settings, host);
      return traitsOf(settings, await openModelFolder(dir, { verify: false, allowBare: true }));
    },
    async create(settings, host) {
      reward.announce?.(settings, host);
      const folder = await openModelFolder(await find(settings, host), { allowBare: true });
      const traits = await traitsOf(settings, folder);
      const opened = await reward.open(folder, settings);
      return {
        ...traits,
        maxBatch,
        score: async (batch) => ({ scores: await opened.scores(batch) }),
        [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
      };
    },
  };
}

/** What the option `model` of such a reward says of itself. */
export const folderHelp = "folder written by training/export_rewards.py, or a hub id in that layout";
