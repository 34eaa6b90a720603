import { importTransformers } from "./native.ts";

let loaded: ReturnType<typeof importTransformers> | undefined;

/**
 * transformers.js, set up for local folders only: nothing is fetched, nothing is cached on disk, and messages below
 * warnings stay silent.
 */
export function transformers(): ReturnType<typeof importTransformers> {
  loaded ??= importTransformers().then((library) => {
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
