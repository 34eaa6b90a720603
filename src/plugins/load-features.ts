import { withDeadline } from "../core/deadline.ts";
import { TtsVarError } from "../core/errors.ts";
import type { FeatureExtractor, ImageFeatures } from "../core/features.ts";
import type { PluginHost } from "../core/plugin.ts";
import type { PluginFeatures } from "./features-from-module.ts";
import type { LoadedPlugin } from "./load-module.ts";
import { callTimeoutMs, PluginThread } from "./plugin-thread.ts";

/**
 * Loads a user's feature extractor, `./file.mjs|js|cjs|ts` or `npm:package`, into a thread of its own.
 *
 * @throws PLUGIN_INVALID, CONFIG_INVALID; (from `extract`) MODEL_RUNTIME naming the plug-in
 */
export async function loadFeatures(
  spec: string,
  options: unknown,
  { baseDir, allowDownload, log }: PluginHost,
): Promise<LoadedPlugin<FeatureExtractor>> {
  const thread = new PluginThread({ kind: "features", spec, options, baseDir, allowDownload }, log);
  const { traits, provenance } = await thread.ready();
  const { name, version, flops, timeoutMs = callTimeoutMs } = traits as PluginFeatures;
  const fail = (problem: string, cause?: unknown) =>
    new TtsVarError("MODEL_RUNTIME", `features plug-in ${spec} ${problem}`, { cause });
  const late = () =>
    fail(`did not answer within ${timeoutMs / 1000} s; make it faster or give it a larger timeoutMs`);
  const value: FeatureExtractor = {
    name,
    version,
    flops,
    async extract(images) {
      try {
        const call = (signal: AbortSignal) => thread.call(images, null, signal);
        return (await withDeadline(call, { timeoutMs, late })) as ImageFeatures;
      } catch (error) {
        if (error instanceof TtsVarError) throw error;
        throw fail(`failed: ${error instanceof Error ? error.message : String(error)}`, error);
      }
    },
    [Symbol.asyncDispose]: () => thread.dispose(),
  };
  return { value, provenance };
}
