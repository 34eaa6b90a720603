import { TtsVarError } from "../../core/errors.ts";

/** For benchmarks whose images only their own judge can score: there is nothing to add up here. */
export function judgedElsewhere(title: string): () => never {
  return () => {
    throw new TtsVarError("USAGE", `${title} is judged by its own scripts; see docs/benchmarks.md`);
  };
}
