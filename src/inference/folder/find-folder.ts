import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { TtsVarError } from "../../core/errors.ts";
import type { PluginHost } from "../../core/plugin.ts";
import { hubFolder } from "./hub.ts";
import { embeddedModelPath } from "./model-folder.ts";

/** A model on a hub: `owner/name`, optionally with `@revision`. */
export const hubId = /^[\w.-]+\/[\w.-]+(?:@[\w./-]+)?$/;
const needed = /(^[^/]+\.json$)|(^onnx\/(text_model|vision_model|model)\.onnx(_data(_\d+)?)?$)/;

/**
 * Folder of a model given as the name of an embedded one, a folder (relative to the configuration that names it), or a
 * hub id `owner/name[@revision]`, in this order.
 *
 * @throws PLUGIN_UNKNOWN, MODEL_NOT_FOUND
 */
export async function modelFolder(source: string, host: PluginHost): Promise<string> {
  const local = resolve(host.baseDir, source);
  if (/^(\.|\/|[A-Za-z]:[\\/])/.test(source)) {
    if (existsSync(local)) return local;
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `there is no model folder ${local}; relative paths start at ${host.baseDir}`,
    );
  }
  if (!source.includes("/")) return embeddedModelPath(source);
  if (existsSync(local)) return local;
  if (!hubId.test(source)) {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `"${source}" is neither an existing folder nor a hub id (owner/name)`,
    );
  }
  return hubFolder({
    id: source,
    wanted: (path) => needed.test(path),
    allowDownload: host.allowDownload,
    log: (level, message) => host.log(level, message),
  });
}

/**
 * Folder of weights that are not part of this package.
 * @throws MODEL_NOT_FOUND saying how to make one, when none was given
 */
export async function givenFolder(
  reward: string,
  source: string | undefined,
  remedy: string,
  host: PluginHost,
): Promise<string> {
  if (source !== undefined) return modelFolder(source, host);
  throw new TtsVarError(
    "MODEL_NOT_FOUND",
    `reward ${reward} needs its weights in option "model": ${remedy}`,
    {
      details: { reward },
    },
  );
}
