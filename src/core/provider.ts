/** Where ONNX Runtime computes: what a build of it has depends on the operating system and on what is installed. */
export const PROVIDERS = ["cpu", "cuda", "webgpu", "coreml", "dml"] as const;

export type Provider = (typeof PROVIDERS)[number];
