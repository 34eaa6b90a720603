import { TtsVarError } from "../../core/errors.ts";
import { importTransformers } from "./native.ts";
import { sessionOptions } from "./ort-session.ts";
import { Shared } from "./shared.ts";

type Transformers = Awaited<ReturnType<typeof importTransformers>>;

let loaded: Promise<Transformers> | undefined;

/**
 * transformers.js, set up for local folders only: nothing is fetched, nothing is cached on disk, and messages below
 * warnings stay silent.
 */
export function transformers(): Promise<Transformers> {
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

/** A model of the library, held for one of its users. */
export interface Pretrained<Model> {
  readonly library: Transformers;
  readonly model: Model;
  leave(): Promise<void>;
}

type Disposable = { dispose(): Promise<unknown> };
const models = new Shared<{ readonly model: Disposable } & AsyncDisposable>();

/**
 * Loads a model of a local folder with one of the library's classes. One session a model: who asks for the same folder
 * shares it.
 *
 * @throws TtsVarError MODEL_RUNTIME
 */
export async function openPretrained<Name extends "PreTrainedModel" | "AutoModelForObjectDetection">(
  name: Name,
  dir: string,
  threads?: number,
): Promise<Pretrained<Awaited<ReturnType<Transformers[Name]["from_pretrained"]>>>> {
  const library = await transformers();
  const options = { session_options: sessionOptions(threads === undefined ? {} : { threads }) };
  const { thing, leave } = await models.use(`${name} ${threads ?? ""} ${dir}`, async () => {
    const model = await library[name].from_pretrained(dir, options).catch((cause) => notLoaded(dir, cause));
    return {
      model,
      [Symbol.asyncDispose]: async () => {
        await model.dispose();
      },
    };
  });
  return { library, model: thing.model as Awaited<ReturnType<Transformers[Name]["from_pretrained"]>>, leave };
}

/** @throws TtsVarError MODEL_RUNTIME, always */
export function notLoaded(dir: string, cause: unknown): never {
  const message = cause instanceof Error ? cause.message : String(cause);
  throw new TtsVarError("MODEL_RUNTIME", `transformers.js cannot load ${dir}: ${message}`, { cause });
}
