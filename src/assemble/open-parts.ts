import type { PluginHost } from "../core/plugin.ts";
import type { OpenParts } from "../eval/run-sample.ts";
import { openSearch, planConfig } from "./open-search.ts";

/** Plans a configuration and opens its models, for the process that runs the searches. */
export function partsOpener(hostOf: (allowDownload: boolean) => PluginHost): OpenParts {
  return async (config) => {
    const planned = await planConfig(config, hostOf(config.allowDownload));
    return { ...(await openSearch(planned)), task: planned.task, versions: planned.versions };
  };
}
