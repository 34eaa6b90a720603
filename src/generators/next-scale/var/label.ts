import { TtsVarError } from "../../../core/errors.ts";
import { nearest } from "../../../core/registry.ts";
import type { Task } from "../../../core/task.ts";

const AROUND = /^(?:an? )?(?:photo|picture|image|drawing) of /;

/**
 * The class that a task asks for: its label, or the class that the prompt names ("dog", "a photo of a dog").
 *
 * @param labels names of the classes, if the model knows them
 * @throws TtsVarError CONFIG_INVALID for a label or a name that there is not
 */
export function labelOf(
  { label, prompt }: Pick<Task, "label" | "prompt">,
  classes: number,
  labels?: readonly string[],
): number {
  if (label !== undefined) {
    if (label < classes) return label;
    throw new TtsVarError(
      "CONFIG_INVALID",
      `label ${label} is unknown: this model has classes 0 to ${classes - 1}`,
    );
  }
  if (!labels) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `this model knows its classes by number only: give --label 0 to ${classes - 1}`,
    );
  }
  const name = prompt.trim().toLowerCase().replace(AROUND, "").replace(/^an? /, "");
  const index = labels.indexOf(name);
  if (index >= 0) return index;
  const close = nearest(name, labels);
  throw new TtsVarError(
    "CONFIG_INVALID",
    `this model draws one of ${classes} classes, and "${name}" is none${close ? `; did you mean "${close}"?` : ""} (or give --label 0 to ${classes - 1})`,
  );
}
