import type { PluginHost } from "../core/plugin.ts";
import type { Progress } from "../run/progress.ts";

/** What plug-ins may use: paths relative to the working directory, messages through the progress. */
export function pluginHost(allowDownload: boolean, progress: Progress): PluginHost {
  return {
    baseDir: process.cwd(),
    allowDownload,
    log: (level, message) => {
      if (level === "warn") progress.warn(message);
      else if (level === "info") progress.line(message);
    },
  };
}
