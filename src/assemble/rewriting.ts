import type { SearchRecipe } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Generator, GeneratorTraits } from "../core/generator.ts";
import type { Task } from "../core/task.ts";
import type { Rewriter } from "../plugins/load-rewriter.ts";

/** Traits of a generator whose prompts are rewritten first: that is part of what a prompt costs. */
export function chargedFor(traits: GeneratorTraits, rewriter: Rewriter | null): GeneratorTraits {
  if (rewriter === null || rewriter.flops === 0) return traits;
  return { ...traits, cost: { ...traits.cost, prompt: traits.cost.prompt + rewriter.flops } };
}

/**
 * Studies and calibrations draw the prompts that they are about.
 *
 * @throws TtsVarError CONFIG_INVALID
 */
export function expectNoRewriting({ rewrite }: Pick<SearchRecipe, "rewrite">): void {
  if (rewrite === undefined) return;
  throw new TtsVarError(
    "CONFIG_INVALID",
    "rewrite: prompts are rewritten in searches and evaluations only; compare `geneval run` with and without it",
  );
}

/** Rewrites prompts of tasks; equal tasks are rewritten once, however often they are searched for. */
export class Rewriting {
  readonly #rewriter: Rewriter;
  readonly #known = new Map<string, Promise<string>>();

  constructor(rewriter: Rewriter) {
    this.#rewriter = rewriter;
  }

  /** The task with what is drawn for its prompt. */
  async of(task: Task, signal: AbortSignal): Promise<Task> {
    const { prompt, seed } = task;
    const key = JSON.stringify([prompt, seed]);
    const rewriting = this.#known.get(key) ?? this.#rewriter.rewrite(prompt, { seed, signal });
    this.#known.set(key, rewriting);
    rewriting.catch(() => this.#known.delete(key));
    if (this.#known.size > MOST) this.#known.delete(this.#known.keys().next().value!);
    return { ...task, drawn: await rewriting };
  }

  /** A generator that is charged for it. */
  charge(generator: Generator): Generator {
    return { ...generator, traits: chargedFor(generator.traits, this.#rewriter) };
  }
}

/** Prompts that are remembered. */
const MOST = 1024;
