import { join } from "node:path";
import { Disposal } from "../../../core/disposal.ts";
import type { Generator, GeneratorHost, GeneratorRequest } from "../../../core/generator.ts";
import { type OrtSession, openOrtSession } from "../../../inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../../inference/runtime/tokenizer.ts";
import { chooseShape } from "../../choose-shape.ts";
import { GRAPHS, type GraphName } from "./files.ts";
import { type JanusModel, readJanus } from "./model.ts";
import { JanusNetwork } from "./network.ts";
import { startJanus } from "./session.ts";
import { resolveJanusSettings } from "./settings.ts";
import { janusTraits } from "./traits.ts";

export type JanusOptions = Pick<GeneratorHost, "threads" | "rowsAtOnce">;

/** A folder read for a request: its shape checked. @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID */
export async function readJanusFor(dir: string, { shape, settings }: GeneratorRequest): Promise<JanusModel> {
  const model = await readJanus(dir, settings);
  chooseShape([{ id: "1:1", width: model.pixels, height: model.pixels }], shape ?? {});
  return model;
}

/** Opens the graphs of a folder, below the level of sessions. The caller closes them. */
export async function openJanusNetwork(
  model: JanusModel,
  threads?: number,
): Promise<{ readonly network: JanusNetwork; close(): Promise<void> }> {
  const disposal = new Disposal();
  const graphs = await disposal.during(async () => {
    const opened: Partial<Record<GraphName, OrtSession>> = {};
    for (const name of GRAPHS) {
      const options = { looseAxes: true, ...(threads === undefined ? {} : { threads }) };
      opened[name] = disposal.use(await openOrtSession(join(model.dir, model.graphs[name].path), options));
    }
    return opened as Record<GraphName, OrtSession>;
  });
  const tokenizer = await disposal.during(() => loadTokenizer(model.dir, model.text.positions));
  return {
    network: new JanusNetwork({ model, tokenizer, graphs }),
    close: () => disposal[Symbol.asyncDispose](),
  };
}

/** Loads a Janus generator on the calling thread. */
export async function loadJanus(
  dir: string,
  request: GeneratorRequest = {},
  { threads, rowsAtOnce = [] }: JanusOptions = {},
): Promise<Generator> {
  const model = await readJanusFor(dir, request);
  // Wrong settings are told before anything is loaded.
  janusTraits(model, request.settings);
  const { network, close } = await openJanusNetwork(model, threads);
  const under = (given: unknown, dispose: () => Promise<void>): Generator => {
    const traits = janusTraits(model, given);
    const settings = resolveJanusSettings(model, given);
    const context = { network, traits, settings, side: model.side, rowsAtOnce };
    return {
      traits,
      start: (task, ids) => startJanus(context, task, ids),
      withSettings: async (others) => under(others, async () => undefined),
      [Symbol.asyncDispose]: dispose,
    };
  };
  return under(request.settings, close);
}
