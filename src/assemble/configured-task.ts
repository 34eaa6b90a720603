import type { SearchRecipe } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import type {
  Capability,
  GeneratorDefinition,
  GeneratorRequest,
  GeneratorTraits,
} from "../core/generator.ts";
import type { PromptAt, Task } from "../core/task.ts";
import { readTokensFile, tokensFor } from "../generators/tokens-file.ts";
import { cropToSize, decodePng } from "../io/png.ts";

/** A generator as configured, and what it is to draw. */
export interface ConfiguredTask {
  readonly request: GeneratorRequest;
  readonly task: Task;
  readonly generator: GeneratorTraits;
}

/**
 * Reads what a configuration says of model and task, with the files that it names. Without a prompt, the task's is empty.
 *
 * @throws TtsVarError CONFIG_INVALID for settings or a shape that the model does not have, or a task that it cannot do;
 *   CONFIG_NOT_FOUND
 */
export async function configuredTask(
  { model, task }: Pick<SearchRecipe, "model" | "task">,
  definition: GeneratorDefinition,
): Promise<ConfiguredTask> {
  const { shape: id, ratio, size, options: settings } = model;
  const {
    prompt = "",
    seed,
    metadata,
    negativePrompt,
    promptAt,
    label,
    source,
    mask,
    maskMode,
    keep: path,
    keepUntil,
  } = task;
  if (path === undefined && keepUntil !== undefined) {
    throw new TtsVarError("CONFIG_INVALID", "task.keepUntil needs task.keep: give a file with --tokens");
  }
  const file = path === undefined ? null : await readTokensFile(path);
  const asked = id !== undefined || ratio !== undefined || size !== undefined;
  const request = { shape: asked ? { id, ratio, size } : { id: file?.shape }, settings };
  const generator = await definition.describe(request);
  const needed = {
    keep: path !== undefined,
    source: source !== undefined,
    mask: mask !== undefined,
    "negative-prompt": negativePrompt !== undefined,
    "prompt-at": promptAt !== undefined,
  } satisfies Partial<Record<Capability, boolean>>;
  for (const [capability, wanted] of Object.entries(needed)) {
    if (wanted) expectCapable(generator, capability as keyof typeof needed);
  }
  if (promptAt) checkPromptAt(promptAt, generator);
  if (mask !== undefined && source === undefined) {
    throw new TtsVarError("CONFIG_INVALID", "task.mask needs task.source: give the picture with --image");
  }
  if (maskMode !== undefined && mask === undefined) {
    throw new TtsVarError("CONFIG_INVALID", "task.maskMode needs task.mask: give a picture with --mask");
  }
  const { width, height } = generator.shape;
  const picture = async (file: string) => cropToSize(await decodePng(file), width, height);
  return {
    request,
    generator,
    task: {
      prompt,
      seed,
      ...(negativePrompt === undefined ? {} : { negativePrompt }),
      ...(promptAt === undefined ? {} : { promptAt }),
      ...(label === undefined ? {} : { label }),
      ...(source === undefined ? {} : { source: await picture(source) }),
      ...(mask === undefined ? {} : { mask: await picture(mask) }),
      ...(maskMode === undefined ? {} : { maskMode }),
      ...(file && path !== undefined ? { keep: tokensFor(generator, file, path, keepUntil) } : {}),
      metadata,
    },
  };
}

const TASKS = {
  keep: "take tokens (task.keep)",
  source: "start from an image (task.source)",
  mask: "draw a part of an image anew (task.mask)",
  "negative-prompt": "be led away from a text (task.negativePrompt)",
  "prompt-at": "change its prompt on the way (task.promptAt)",
} as const;

function checkPromptAt(promptAt: readonly PromptAt[], { name, stages }: GeneratorTraits): void {
  promptAt.forEach(({ stage }, index) => {
    const before = promptAt[index - 1]?.stage ?? 0;
    if (stage > before && stage < stages.length) return;
    throw new TtsVarError(
      "CONFIG_INVALID",
      `task.promptAt: stage ${stage} is not between ${before + 1} and ${stages.length - 1}; ` +
        `${name} has stages 0 to ${stages.length - 1}, and texts change by rising stage`,
    );
  });
}

function expectCapable({ name, can }: GeneratorTraits, capability: keyof typeof TASKS): void {
  if (can.includes(capability)) return;
  throw new TtsVarError(
    "CONFIG_INVALID",
    `${name} cannot ${TASKS[capability]}; leave it out, or choose another --model`,
  );
}
