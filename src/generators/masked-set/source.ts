import { TtsVarError } from "../../core/errors.ts";
import type { Task } from "../../core/task.ts";
import type { CanvasManifest } from "../canvas/manifest.ts";
import type { CanvasParts } from "../canvas/open.ts";
import type { Prompt } from "../canvas/prompts.ts";
import { transposed } from "./canvas.ts";

/**
 * The prompt of an editor, whose network reads a source's tokens as a further input, with the text and without (UniPic).
 * Of other models it stays what it is.
 *
 * @throws TtsVarError CONFIG_INVALID without a source, or for one of another size
 */
export async function withSource(
  { manifest, space }: CanvasParts<CanvasManifest>,
  { text, none }: Prompt,
  task: Task,
): Promise<Prompt> {
  if (manifest["reads"] !== "source") return { text, none };
  if (!task.source) {
    throw new TtsVarError("CONFIG_INVALID", "this generator edits a picture: give one with --image");
  }
  const canvas = await space.canvas(task.source);
  const values = manifest.tokenChannels;
  const tokens = canvas.length / values;
  const source = { dims: [1, tokens, values], data: transposed(canvas, tokens) };
  return { text: { ...text, source }, none: { ...none, source } };
}
