import { TtsVarError } from "../../core/errors.ts";

/** Unit vector along `vector`, in float64. @throws MODEL_RUNTIME when the vector has no direction. */
export function unit(vector: ArrayLike<number>, what: string): Float64Array {
  let square = 0;
  for (let i = 0; i < vector.length; i++) square += vector[i]! * vector[i]!;
  if (!(square > 0) || !Number.isFinite(square)) {
    throw new TtsVarError(
      "MODEL_RUNTIME",
      `the ${what} has length ${Math.sqrt(square)}; the model folder is damaged or of another kind`,
    );
  }
  const scale = 1 / Math.sqrt(square);
  return Float64Array.from(vector, (value) => value * scale);
}

/** Dot product of two vectors of equal length. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `vectors of ${a.length} and ${b.length} numbers do not belong to one model`,
    );
  }
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
