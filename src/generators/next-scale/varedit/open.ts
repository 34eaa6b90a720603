import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import type {
  Generator,
  GeneratorHost,
  GeneratorRequest,
  GeneratorTraits,
  ShapeWish,
} from "../../../core/generator.ts";
import { parseSettings } from "../../parse-settings.ts";
import { bitGenerator } from "../bit-generator.ts";
import { type InfinityModel, infinityTraits, openNetwork, readInfinity } from "../infinity/open.ts";
import { resolveInfinity } from "../infinity/settings.ts";
import { EditNetwork } from "./network.ts";

const FAMILY = "varedit";
const own = z.object({ sar: z.boolean("must be true or false").default(true) });

/** The family's own setting, and what is left for Infinity's. */
function split(given: unknown): { aligned: boolean; rest: unknown } {
  if (typeof given !== "object" || given === null || !("sar" in given)) return { aligned: true, rest: given };
  const { sar, ...rest } = given as Record<string, unknown>;
  return { aligned: parseSettings(own, { sar }).sar, rest };
}

/** Everything about a model that needs no weights, under the given settings. @throws TtsVarError CONFIG_INVALID */
export function editTraits(model: InfinityModel, given?: unknown): GeneratorTraits {
  const { aligned, rest } = split(given);
  if (resolveInfinity(model, rest).cache.policy) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      "model.options.cache: an editor keeps its whole cache; leave it out",
    );
  }
  const traits = infinityTraits(model, rest);
  const { depth, embedDim } = model.manifest.architecture;
  const [h, w] = model.schedule.scales.at(-1)!;
  // Keys and values of the source, for both branches, once a task.
  const segment = Float32Array.BYTES_PER_ELEMENT * 2 * 2 * depth * embedDim * h * w;
  return {
    ...traits,
    can: ["log-prob", "negative-prompt", "source"],
    memory: traits.memory && { ...traits.memory, prompt: traits.memory.prompt + segment },
    settings: { ...traits.settings, sar: aligned },
  };
}

/**
 * Loads an editor on the calling thread.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, CONFIG_INVALID
 */
export async function loadEditor(
  dir: string,
  { shape, settings }: GeneratorRequest = {},
  host: Pick<GeneratorHost, "threads" | "rowsAtOnce"> = {},
): Promise<Generator> {
  // Wrong settings are told before anything is loaded.
  editTraits(await readEditor(dir, shape), settings);
  const { model, network, code, latent, close } = await openNetwork(dir, shape, { ...host, family: FAMILY });
  if (!latent) {
    await close();
    throw new TtsVarError("MODEL_INVALID", `${dir} has no image encoder (vae_encode), which an editor needs`);
  }
  return bitGenerator(
    {
      code,
      under: async (given) => {
        const { aligned, rest } = split(given);
        return {
          traits: editTraits(model, given),
          settings: resolveInfinity(model, rest).sampling,
          network: new EditNetwork(network, model.schedule, latent, code.tokenChannels, aligned),
        };
      },
      close,
    },
    settings,
  );
}

/** @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID */
export function readEditor(dir: string, shape: ShapeWish = {}): Promise<InfinityModel> {
  return readInfinity(dir, shape, false, FAMILY);
}
