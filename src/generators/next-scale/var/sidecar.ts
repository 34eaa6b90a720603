import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { TtsVarError } from "../../../core/errors.ts";
import { sizeOf, type Tensor } from "../../../core/tensor.ts";
import type { VarManifest } from "./manifest.ts";

const NAMES = ["positions", "pos_start", "word_embed.bias", "codebook", "phi.weight", "phi.bias"] as const;

/** Small weights that the host needs. */
export type VarSidecar = Readonly<Record<(typeof NAMES)[number], Tensor>>;

/**
 * Reads the tensors of the sidecar file (little-endian float32, concatenated).
 *
 * @throws TtsVarError MODEL_INVALID if a tensor lies outside the file
 */
export async function readVarSidecar(
  dir: string,
  { file, tensors }: VarManifest["sidecar"],
): Promise<VarSidecar> {
  const bytes = await readFile(join(dir, file));
  const read = (name: (typeof NAMES)[number]): Tensor => {
    const { shape, offset } = tensors[name];
    const end = offset + sizeOf(shape) * Float32Array.BYTES_PER_ELEMENT;
    if (end > bytes.length) {
      throw new TtsVarError("MODEL_INVALID", `${file} has ${bytes.length} bytes, but ${name} ends at ${end}`);
    }
    // A copy, because a Buffer need not begin at a multiple of four.
    return { dims: shape, data: new Float32Array(new Uint8Array(bytes.subarray(offset, end)).buffer) };
  };
  return Object.fromEntries(NAMES.map((name) => [name, read(name)])) as unknown as VarSidecar;
}
