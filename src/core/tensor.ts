/** Plain row-major tensors. Heavy arithmetic stays in ONNX graphs; this is only what crosses module borders. */
export interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Number of elements of a shape. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Rows of a matrix, copied. */
export function pickRows(matrix: Tensor, rows: readonly number[]): Tensor {
  const width = matrix.dims[1]!;
  const data = new Float32Array(rows.length * width);
  for (const [to, row] of rows.entries()) data.set(rowOf(matrix, row), to * width);
  return { dims: [rows.length, width], data };
}

/** Row `index` of a tensor along its first axis, as a view (no copy). */
export function rowOf(tensor: Tensor, index: number): Float32Array {
  const stride = sizeOf(tensor.dims.slice(1));
  return tensor.data.subarray(index * stride, (index + 1) * stride);
}
