import { TtsVarError } from "../core/errors.ts";
import type { Registry } from "../core/registry.ts";
import type { SearchFunction, Strategy } from "../core/strategy.ts";
import { checkShape, parseOptions, runFactory, strategyShape } from "./check-shape.ts";
import { guardSearch } from "./guard-search.ts";
import { type LoadedPlugin, loadModule, specKind } from "./load-module.ts";

export interface StrategyLoadHost {
  readonly registry: Registry<Strategy>;
  /** Folder against which relative paths are resolved. */
  readonly baseDir: string;
}

/** A strategy ready to run: its name for reports, its options after defaults, its search program. */
export interface LoadedStrategy {
  readonly name: string;
  /** Hash of a plug-in's file and imports; null for built-in strategies, whose version is this package's. */
  readonly version: string | null;
  readonly options: unknown;
  readonly search: SearchFunction;
}

/**
 * Loads a strategy by its spec: a registry name, `./file.mjs|js|cjs|ts`, or `npm:package`. A module's default export is
 * a strategy (`defineStrategy({ name, options, create })`) or, as shorthand, the search program itself:
 * `export default function* (space) { ... }`.
 *
 * @throws PLUGIN_UNKNOWN, PLUGIN_INVALID, CONFIG_INVALID
 */
export async function loadStrategy(
  spec: string,
  options: unknown,
  host: StrategyLoadHost,
): Promise<LoadedPlugin<LoadedStrategy>> {
  const kind = specKind(spec);
  if (kind === "http") {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `strategy ${spec}: strategies run in this process; give a name or a file`,
    );
  }
  if (kind === "name") {
    const strategy = await host.registry.load(spec);
    return {
      value: { ...(await open(strategy, options, `strategy ${spec}`)), version: null },
      provenance: { kind: "builtin", spec },
    };
  }
  const module = await loadModule("strategy", spec, host.baseDir);
  const what = `strategy plug-in ${spec}`;
  const { value, provenance } = module;
  const version = provenance.identity;
  const guard = (search: SearchFunction) => guardSearch(search, what, provenance.path);
  if (typeof value === "function") {
    const search = guard(value as SearchFunction);
    return { value: { name: module.name, version, options: {}, search }, provenance };
  }
  if (typeof value !== "object" || value === null) {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `${what}: the default export is a ${typeof value}, not a strategy; write "export default function* (space) { ... }" or defineStrategy({...})`,
    );
  }
  checkShape(strategyShape, value, what);
  const strategy = await open(value as Strategy, options, what);
  return { value: { ...strategy, version, search: guard(strategy.search) }, provenance };
}

async function open(strategy: Strategy, options: unknown, what: string) {
  const parsed = strategy.options ? await parseOptions(strategy.options, options, what) : (options ?? {});
  const search = await runFactory(() => strategy.create(parsed), what);
  if (typeof search !== "function") {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `${what}: create() must return the search program (a generator function)`,
    );
  }
  return { name: strategy.name, options: parsed, search };
}
