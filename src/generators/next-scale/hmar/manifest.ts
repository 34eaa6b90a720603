import { join } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import type { ShapeWish } from "../../../core/generator.ts";
import { type ModelFolder, openModelFolder, parseWith } from "../../../inference/folder/model-folder.ts";
import {
  findSchedule,
  type InfinityManifest,
  infinityManifest,
  type Schedule,
} from "../infinity/manifest.ts";

const count = z.int().positive();
const flops = z.number().min(0);
const passes = z.array(z.array(count).min(1));

/** What a manifest of this family has beyond Infinity's. */
const schema = z.looseObject({
  architecture: z.looseObject({ maskDepth: count }),
  graphs: z.looseObject({ mask: z.looseObject({ file: z.string().min(1) }) }),
  schedules: z.array(
    z.looseObject({
      id: z.string(),
      /** FLOPs of one masked pass by scale, conditional branch alone. */
      maskFlops: z.array(flops),
      /** Tokens that are settled in each pass, by scale; they add up to the scale's. */
      passes,
    }),
  ),
});

/** A model folder of the HMAR family, read as far as planning needs. */
export interface HmarModel {
  readonly folder: ModelFolder;
  readonly manifest: InfinityManifest;
  readonly schedule: Schedule;
  /** Blocks of the masked path's own; it shares the others. */
  readonly maskDepth: number;
  readonly maskFile: string;
  readonly maskFlops: readonly number[];
  readonly passes: readonly (readonly number[])[];
}

/** Reads a folder without loading weights. @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID */
export async function readHmar(dir: string, shape: ShapeWish = {}, verify = false): Promise<HmarModel> {
  const folder = await openModelFolder(dir, { verify });
  const manifest = infinityManifest(folder, "hmar");
  const schedule = findSchedule(manifest, shape);
  const path = join(folder.dir, "manifest.json");
  const own = parseWith(schema, folder.manifest, path);
  const { maskFlops, passes: defaults } = own.schedules.find(({ id }) => id === schedule.id)!;
  const wrong = passesProblem(schedule, defaults);
  if (wrong !== null || maskFlops.length !== schedule.scales.length) {
    throw new TtsVarError("MODEL_INVALID", `${path}: ${wrong ?? "maskFlops must have one entry per scale"}`);
  }
  const { maskDepth } = own.architecture;
  return {
    folder,
    manifest,
    schedule,
    maskDepth,
    maskFile: own.graphs.mask.file,
    maskFlops,
    passes: defaults,
  };
}

/** What is wrong with a plan of passes for a schedule, or null. */
export function passesProblem({ scales }: Schedule, plan: readonly (readonly number[])[]): string | null {
  if (plan.length !== scales.length) return `passes must have ${scales.length} lists, one per scale`;
  const bad = scales.findIndex(([h, w], scale) => plan[scale]!.reduce((sum, n) => sum + n, 0) !== h * w);
  if (bad < 0) return null;
  const [h, w] = scales[bad]!;
  return `passes of scale ${bad} must add up to its ${h * w} tokens, not ${plan[bad]!.join(" + ")}`;
}
