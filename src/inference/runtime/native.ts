import { silenceRuntime } from "../../threads/quiet-runtime.ts";

// The only door to ONNX Runtime, by itself or inside transformers.js. Both are imported late: they take longer to load
// than an embedded model, and many commands need neither.

export async function importOnnxRuntime(): Promise<typeof import("onnxruntime-node")> {
  silenceRuntime();
  return import("onnxruntime-node");
}

export async function importTransformers(): Promise<typeof import("@xenova/transformers")> {
  silenceRuntime();
  return import("@xenova/transformers");
}
