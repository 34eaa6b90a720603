import type { Atom } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import { type Picture, stillOf } from "../core/generator.ts";
import type { CandidateId } from "../core/ids.ts";
import type { RgbImage } from "../core/image.ts";
import type { Reward, RewardContext } from "../core/reward.ts";
import type { Task } from "../core/task.ts";
import type { Tensor } from "../core/tensor.ts";
import type { FeatureSource } from "./feature-source.ts";

export interface Scored {
  /** As the reward gave them. */
  readonly raw: Float64Array;
  readonly details: readonly (Readonly<Record<string, unknown>> | undefined)[];
}

/** What one batch of pictures is scored for. */
export interface ScoreRequest {
  readonly name: string;
  readonly reward: Reward;
  readonly task: Task;
  readonly context: RewardContext;
}

/**
 * Scores one batch.
 *
 * @throws REWARD_VALUE naming reward and candidate for a score that is missing, not applicable or not finite;
 *   REWARD_FAILED when the number of scores is wrong
 */
export async function scorePictures(
  request: ScoreRequest,
  ids: readonly CandidateId[],
  pictures: readonly Picture[],
): Promise<Scored> {
  const { name, reward, task, context } = request;
  const { prompt, source, metadata = {} } = task;
  const batch = pictures.map((picture, index) => ({
    image: stillOf(picture),
    ...(picture.frames.length > 1 ? { frames: picture.frames } : {}),
    prompt,
    ...(source ? { source } : {}),
    metadata,
    id: ids[index]!,
  }));
  const answer = await reward.score(batch, context);
  if (answer.scores.length !== batch.length) {
    throw new TtsVarError(
      "REWARD_FAILED",
      `reward ${name} gave ${answer.scores.length} scores for ${batch.length} images`,
    );
  }
  const raw = new Float64Array(batch.length);
  for (let index = 0; index < batch.length; index++) {
    const value = answer.scores[index];
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw new TtsVarError(
        "REWARD_VALUE",
        `reward ${name} gave ${value} for candidate ${ids[index]} at ${context.stage.kind} stage ${context.stage.index}; ` +
          "scores must be finite numbers",
        { details: { reward: name, candidate: ids[index], value: String(value), stage: context.stage } },
      );
    }
    raw[index] = value;
  }
  return { raw, details: answer.details ?? batch.map(() => undefined) };
}

/**
 * The atoms that a reward told with a score.
 *
 * @throws REWARD_FAILED when its details have none, or are no questions with probabilities
 */
export function atomsOf(
  detail: Readonly<Record<string, unknown>> | undefined,
  reward: string,
  id: CandidateId,
): readonly Atom[] {
  const atoms = detail?.["atoms"];
  if (Array.isArray(atoms) && atoms.length > 0 && atoms.every(isAtom)) return atoms;
  throw new TtsVarError(
    "REWARD_FAILED",
    `reward ${reward} gave no atoms for candidate ${id}; its details must have atoms: [{question, expected, skill, parent, p}], ` +
      "p from 0 to 1, parent places of earlier ones",
    { details: { reward, candidate: id } },
  );
}

function isAtom(value: unknown, at: number): value is Atom {
  const { question, expected, skill, parent, p } = (value ?? {}) as Partial<Record<keyof Atom, unknown>>;
  return (
    [question, expected, skill].every((text) => typeof text === "string") &&
    Array.isArray(parent) &&
    parent.every((other) => Number.isInteger(other) && other >= 0 && other < at) &&
    typeof p === "number" &&
    p >= 0 &&
    p <= 1
  );
}

/**
 * Feature vectors of one batch.
 *
 * @throws MODEL_RUNTIME for a wrong shape or a value that is not finite
 */
export async function extractVectors(
  source: FeatureSource,
  ids: readonly CandidateId[],
  images: readonly RgbImage[],
): Promise<Tensor> {
  const vectors = await source.vectors(images).catch((error: unknown) => {
    if (!(error instanceof TtsVarError)) throw error;
    const message = `${error.message} (candidates ${ids.join(", ")})`;
    throw new TtsVarError(error.code, message, { cause: error, details: { ...error.details } });
  });
  const [count, dim] = vectors.dims;
  if (vectors.dims.length !== 2 || count !== images.length || vectors.data.length !== count * dim!) {
    throw new TtsVarError(
      "MODEL_RUNTIME",
      `features ${source.name} gave shape [${vectors.dims.join(", ")}] for ${images.length} images; expected [${images.length}, dim]`,
    );
  }
  const bad = vectors.data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const id = ids[Math.floor(bad / dim!)];
    throw new TtsVarError(
      "MODEL_RUNTIME",
      `features ${source.name} gave a value that is not finite for candidate ${id}`,
    );
  }
  return vectors;
}
