import * as z from "zod";
import { TtsVarError } from "../core/errors.ts";
import type {
  Generator,
  GeneratorDefinition,
  GeneratorHost,
  GeneratorRequest,
  GeneratorTraits,
  Session,
  ShapeWish,
} from "../core/generator.ts";
import { chooseShape } from "../generators/choose-shape.ts";
import { type RowModel, rowGenerator } from "../generators/rows.ts";
import { traitsSchema } from "../generators/traits-schema.ts";
import { loadModule } from "../plugins/load-module.ts";

/** What a generator file exports. `open` may give a `RowModel`, so that such a file needs to import nothing. */
interface PluginDefinition {
  describe(request: GeneratorRequest): Promise<unknown>;
  open(request: GeneratorRequest, host: GeneratorHost): Promise<Generator | RowModel<unknown>>;
}

type Guard = <Value>(work: () => Value | Promise<Value>) => Promise<Value>;

/**
 * A module's default export as a generator. Its version carries the hash of its code, so that an edit is another model;
 * whatever it throws names the file.
 *
 * @throws TtsVarError PLUGIN_INVALID
 */
export async function pluginGenerator(spec: string, baseDir: string): Promise<GeneratorDefinition> {
  const { value, provenance } = await loadModule("generator", spec, baseDir);
  const fail = (problem: string, cause?: unknown): never => {
    // A file that imports another copy of this package throws that copy's errors: known by code, not by class.
    const settings = (cause as { code?: unknown } | undefined)?.code === "CONFIG_INVALID";
    const code = settings ? "CONFIG_INVALID" : "PLUGIN_INVALID";
    throw new TtsVarError(code, `generator plug-in ${spec}: ${problem}`, { cause });
  };
  const definition = value as PluginDefinition;
  if (typeof definition.describe !== "function" || typeof definition.open !== "function") {
    return fail("the default export must have describe() and open(); see docs/add-a-generator.md");
  }
  const guard: Guard = async (work) => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof TtsVarError) throw error;
      return fail(error instanceof Error ? error.message : String(error), error);
    }
  };
  const checked = (traits: unknown, wish: ShapeWish = {}): GeneratorTraits => {
    const parsed = traitsSchema.safeParse(traits);
    if (!parsed.success)
      return fail(`its traits are not those of a generator:\n${z.prettifyError(parsed.error)}`);
    chooseShape([parsed.data.shape], wish);
    const { refine, ...cost } = parsed.data.cost;
    const version = `${parsed.data.version}+${provenance.identity}`;
    return { ...parsed.data, version, cost: { ...cost, ...(refine === undefined ? {} : { refine }) } };
  };
  const guarded = (generator: Generator): Generator => {
    const { encode, withSettings } = generator;
    return {
      traits: checked(generator.traits),
      start: async (task, ids) => guardedSession(await guard(() => generator.start(task, ids)), guard),
      ...(encode ? { encode: (image) => guard(() => encode.call(generator, image)) } : {}),
      ...(withSettings
        ? { withSettings: async (to) => guarded(await guard(() => withSettings.call(generator, to))) }
        : {}),
      [Symbol.asyncDispose]: async () => generator[Symbol.asyncDispose]?.(),
    };
  };
  return {
    describe: (request = {}) => guard(async () => checked(await definition.describe(request), request.shape)),
    open: (request = {}, host = {}) =>
      guard(async () => {
        const opened = await definition.open(request, host);
        if ("start" in opened) return guarded(opened);
        return guarded(rowGenerator((await definition.describe(request)) as GeneratorTraits, opened));
      }),
  };
}

function guardedSession(session: Session, guard: Guard): Session {
  const { refine, rewind } = session;
  return {
    get ids() {
      return session.ids;
    },
    get stage() {
      return session.stage;
    },
    step: () => guard(() => session.step()),
    select: (picks) => guard(() => session.select(picks)),
    branch: async (picks) => guardedSession(await guard(() => session.branch(picks)), guard),
    view: (rows, view) => guard(() => session.view(rows, view)),
    tokens: (rows, stage) => guard(() => session.tokens(rows, stage)),
    ...(refine
      ? { refine: (share: number, ids: readonly string[]) => guard(() => refine.call(session, share, ids)) }
      : {}),
    ...(rewind
      ? { rewind: (stage: number, ids: readonly string[]) => guard(() => rewind.call(session, stage, ids)) }
      : {}),
    release: () => session.release(),
  };
}
