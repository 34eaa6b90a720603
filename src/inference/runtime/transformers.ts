type Transformers = typeof import("@xenova/transformers");

let loaded: Promise<Transformers> | undefined;

/**
 * transformers.js, set up for local folders only: nothing is fetched, nothing is cached on disk, and messages below
 * warnings stay silent. It is imported on first use, because importing it takes longer than loading an embedded model.
 */
export function transformers(): Promise<Transformers> {
  loaded ??= import("@xenova/transformers").then((library) => {
    const { env, LogLevel } = library;
    env.allowRemoteModels = false;
    env.allowLocalModels = true;
    env.useFSCache = false;
    env.useBrowserCache = false;
    env.logLevel = LogLevel.WARNING;
    return library;
  });
  return loaded;
}
