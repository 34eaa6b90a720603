import * as z from "zod";
import type {
  Generator,
  GeneratorHost,
  GeneratorRequest,
  GeneratorTraits,
  ShapeWish,
} from "../../../core/generator.ts";
import type { RgbImage } from "../../../core/image.ts";
import type { Task } from "../../../core/task.ts";
import type { Tokens } from "../../../core/tokens.ts";
import { openModelFolder } from "../../../inference/folder/model-folder.ts";
import { chooseShape } from "../../choose-shape.ts";
import { parseSettings } from "../../parse-settings.ts";
import { readClasses } from "../cache/classes.ts";
import { latentEncoder } from "../encode.ts";
import { type InfinityManifest, infinityManifest, type Schedule } from "../infinity/manifest.ts";
import { type InfinityModel, infinityTraits, openGraphs } from "../infinity/open.ts";
import { resolveInfinity } from "../infinity/settings.ts";
import { referenceOf } from "../reference.ts";
import type { Grid } from "../resize.ts";
import { startSession } from "../session.ts";
import { FlexCode } from "./flex-code.ts";
import { FEWEST_STEPS, flexSchedule, MOST_STEPS } from "./schedule.ts";

const DEFAULT_STEPS = 6;
const message = `must be a whole number from ${FEWEST_STEPS} to ${MOST_STEPS}`;
const own = z.object({
  steps: z.int(message).min(FEWEST_STEPS, message).max(MOST_STEPS, message).default(DEFAULT_STEPS),
});

/** Full latent grids that are offered; squares are what the model was trained on. */
const SHAPES: readonly (readonly [id: string, h: number, w: number])[] = [
  ["1:1", 8, 8],
  ["4:3", 6, 8],
  ["3:4", 8, 6],
  ["2:1", 4, 8],
  ["1:2", 8, 4],
  ["1:1@80", 10, 10],
];

/** A model folder read as far as planning needs, for one shape. */
export interface FlexModel extends Pick<InfinityModel, "folder" | "classes"> {
  readonly manifest: InfinityManifest;
  readonly id: string;
  readonly full: Grid;
}

/** @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID */
export async function readFlex(dir: string, wish: ShapeWish = {}, verify = false): Promise<FlexModel> {
  const folder = await openModelFolder(dir, { verify });
  const manifest = infinityManifest(folder, "flexvar");
  const { stride } = manifest.image;
  const shapes = SHAPES.map(([id, h, w]) => ({ id, width: w * stride, height: h * stride, full: { h, w } }));
  const { id, full } = chooseShape(shapes, wish);
  return { folder, manifest, id, full, classes: await readClasses(folder) };
}

/** The number of steps, and what is left for Infinity's settings. */
function split(given: unknown): { steps: number; rest: unknown } {
  if (typeof given !== "object" || given === null) return { steps: DEFAULT_STEPS, rest: given };
  const { steps = DEFAULT_STEPS, ...rest } = given as Record<string, unknown>;
  return { steps: parseSettings(own, { steps }).steps, rest };
}

/** A model under a number of steps, as an Infinity with that schedule. */
function planned({ folder, manifest, id, full, classes }: FlexModel, steps: number): InfinityModel {
  const [reference] = manifest.schedules[0]!.scales.at(-1)!;
  const schedule = flexSchedule(id, full, steps, reference);
  return {
    folder,
    schedule,
    classes,
    manifest: { ...manifest, sampling: spread(manifest.sampling, schedule) },
  };
}

/** The manifest's values by scale, taken at the same share of the way. */
function spread(sampling: InfinityManifest["sampling"], { scales }: Schedule): InfinityManifest["sampling"] {
  const at = (values: readonly number[]) =>
    scales.map((_, scale) => values[Math.round((scale / (scales.length - 1)) * (values.length - 1))]!);
  return { ...sampling, guidance: at(sampling.guidance), temperature: at(sampling.temperature) };
}

/** Everything about a model that needs no weights, under the given settings. @throws TtsVarError CONFIG_INVALID */
export function flexTraits(model: FlexModel, given?: unknown): GeneratorTraits {
  const { steps, rest } = split(given);
  const traits = infinityTraits(planned(model, steps), rest);
  return { ...traits, settings: { ...traits.settings, steps } };
}

/**
 * Loads a FlexVAR on the calling thread. Steps and shape are no part of the weights: other settings share them.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, CONFIG_INVALID
 */
export async function loadFlex(
  dir: string,
  { shape, settings }: GeneratorRequest = {},
  host: Pick<GeneratorHost, "threads" | "rowsAtOnce"> = {},
): Promise<Generator> {
  // Wrong settings are told before anything is loaded.
  flexTraits(await readFlex(dir, shape), settings);
  const model = await readFlex(dir, shape, true);
  const { networkOf, open, close } = await openGraphs(model, host);
  const { codeMagnitude: magnitude, graphs, image } = model.manifest;
  const under = async (given: unknown, dispose: () => Promise<void>): Promise<Generator> => {
    const { steps, rest } = split(given);
    const traits = flexTraits(model, given);
    const configured = planned(model, steps);
    const { schedule } = configured;
    const { sampling, cache } = resolveInfinity(configured, rest);
    const code = new FlexCode(
      schedule.scales.map(([h, w]) => ({ h, w })),
      magnitude!,
    );
    const latent = latentEncoder(() => open(graphs.vae_encode!), code, image.stride);
    const tokens = (features: Float32Array): Tokens[] =>
      schedule.scales.map(([h, w], scale) => ({ count: h * w, data: code.towards(features, null, scale) }));
    const network = await networkOf(schedule, cache.policy);
    const context = { network, code, traits, settings: sampling };
    return {
      traits,
      start: async (task: Task, ids) =>
        startSession(context, task, ids, await referenceOf(task, latent, tokens)),
      encode: async (picture: RgbImage) => tokens(await latent(picture)),
      withSettings: (others) => under(others, async () => undefined),
      [Symbol.asyncDispose]: dispose,
    };
  };
  return under(settings, close);
}
