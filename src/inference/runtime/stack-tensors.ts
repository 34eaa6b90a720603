import type { Tensor } from "../../core/tensor.ts";

/** Concatenates tensors of equal shape along their first axis. No tensors make a tensor of shape [0]. */
export function stackTensors(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  if (!first) return { dims: [0], data: new Float32Array() };
  const data = new Float32Array(first.data.length * tensors.length);
  tensors.forEach((tensor, index) => {
    data.set(tensor.data, index * first.data.length);
  });
  return { dims: [first.dims[0]! * tensors.length, ...first.dims.slice(1)], data };
}
