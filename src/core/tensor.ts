/** Plain row-major tensors. Heavy arithmetic stays in ONNX graphs; this is only what crosses module borders. */
export interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Number of elements of a shape. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Row `index` of a tensor along its first axis, as a view (no copy). */
export function rowOf(tensor: Tensor, index: number): Float32Array {
  const stride = sizeOf(tensor.dims.slice(1));
  return tensor.data.subarray(index * stride, (index + 1) * stride);
}
