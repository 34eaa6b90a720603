import { TtsVarError } from "../core/errors.ts";
import { pluginHost } from "./plugin-host.ts";
import { createProgress } from "./progress.ts";

/**
 * Draws and scores one image, with the default models unless `settings` name others; says what came of it.
 *
 * @param edits the model edits pictures: it is given a grey one
 * @throws whatever is wrong with the models
 */
export async function drawOne(
  settings: Readonly<Record<string, string>> = {},
  edits = false,
): Promise<string> {
  const { resolveConfig } = await import("../config/resolve.ts");
  const { openSearch, planConfig } = await import("../assemble/open-search.ts");
  const given = { "task.prompt": "a photo of a dog", "strategy.name": "single", budget: 1, ...settings };
  const { config } = resolveConfig({
    flags: Object.entries(given).map(([path, value]) => ({ path, value, flag: path })),
  });
  const planned = await planConfig(config, pluginHost(false, createProgress(true)));
  const start = performance.now();
  const open = await openSearch(planned);
  try {
    const { width, height } = planned.generator.shape;
    const source = { width, height, data: new Uint8Array(3 * width * height).fill(128) };
    const { best } = await open.run({ ...planned.task, ...(edits ? { source } : {}) });
    if (best.image.width !== width || best.image.height !== height) {
      throw new TtsVarError(
        "MODEL_INVALID",
        `${config.model.name} says that its images have ${width} x ${height} pixels, but draws ${best.image.width} x ${best.image.height}; export it again`,
      );
    }
    const seconds = (performance.now() - start) / 1000;
    return `${best.image.width} x ${best.image.height} pixels in ${seconds.toFixed(1)} s, ${config.reward.name} ${best.scores[config.reward.name]?.toFixed(4)}`;
  } finally {
    await open[Symbol.asyncDispose]();
  }
}
