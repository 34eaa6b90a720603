import type { Listing } from "../core/registry.ts";
import { listEmbeddedModels } from "../inference/folder/model-folder.ts";

/** Models as `tts-var list models` shows them. */
export async function listModels(): Promise<Listing[]> {
  const folders = await listEmbeddedModels();
  return folders.map(({ name, kind, version, files }) => {
    const megabytes = files.reduce((sum, file) => sum + (file.bytes ?? 0), 0) / 1e6;
    return { name, summary: `${kind}, version ${version}, ${megabytes.toFixed(1)} MB` };
  });
}
