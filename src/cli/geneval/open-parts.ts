import type { OpenParts } from "../../eval/run-sample.ts";
import type { Progress } from "../progress.ts";

/** Plans a configuration and opens its models, for the process that runs the searches. */
export function partsOpener(progress: Progress): OpenParts {
  return async (config) => {
    const { openSearch, planConfig } = await import("../../open-search.ts");
    const { pluginHost } = await import("../commands/search.ts");
    const planned = await planConfig(config, pluginHost(config.allowDownload, progress));
    const open = await openSearch(planned);
    return {
      sampler: open.sampler,
      reward: open.reward,
      features: open.features,
      strategy: planned.strategy,
      settings: planned.settings,
      calibration: planned.calibration,
      [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
    };
  };
}

/** Seconds of a monotonic clock. */
export function seconds(): number {
  return performance.now() / 1000;
}
