import type * as z from "zod";
import { Disposal } from "../../core/disposal.ts";
import { TtsVarError } from "../../core/errors.ts";
import type {
  Generator,
  GeneratorDefinition,
  GeneratorHost,
  GeneratorRequest,
  GeneratorTraits,
} from "../../core/generator.ts";
import {
  embeddedModelPath,
  type ModelFolder,
  modelFile,
  openModelFolder,
} from "../../inference/folder/model-folder.ts";
import { type OrtSession, openOrtSession } from "../../inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../inference/runtime/tokenizer.ts";
import { openRemote } from "../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../threads/start-thread.ts";
import { chooseShape } from "../choose-shape.ts";
import { remoteGenerator, type SessionMethods } from "../remote/session-calls.ts";
import { LatentSpace } from "./latent-space.ts";
import { type CanvasManifest, canvasManifest, canvasShape } from "./manifest.ts";
import { Prompts } from "./prompts.ts";

type GraphFile = Parameters<typeof modelFile>[1];

/** A model folder read as far as planning needs. */
export interface CanvasModel<Manifest extends CanvasManifest> {
  readonly folder: ModelFolder;
  readonly manifest: Manifest;
}

/** An opened model folder: what every canvas family draws with. */
export interface CanvasParts<Manifest extends CanvasManifest> extends CanvasModel<Manifest> {
  readonly prompts: Prompts;
  readonly step: OrtSession;
  readonly space: LatentSpace;
  /** Opens a further graph of the folder; it is closed with the others. */
  readonly open: (graph: GraphFile) => Promise<OrtSession>;
}

/** What a family adds to the parts that all have. */
export interface CanvasFamily<Manifest extends CanvasManifest, Model> {
  readonly schema: z.ZodType<Manifest>;
  /** Everything that needs no weights. @throws TtsVarError CONFIG_INVALID */
  traits(model: CanvasModel<Manifest>, settings: unknown): GeneratorTraits;
  /** Once for all settings: what the family loads besides. */
  load(parts: CanvasParts<Manifest>): Promise<Model>;
  /** A generator over it; disposing of it leaves the model open. */
  create(model: Model, traits: GeneratorTraits, settings: unknown): Generator;
}

/** The generators of a family whose models are folders. */
export function canvasDefinition<Manifest extends CanvasManifest, Model>(
  dir: string,
  family: CanvasFamily<Manifest, Model>,
): GeneratorDefinition {
  const describe = async ({ shape = {}, settings }: GeneratorRequest = {}, verify = false) => {
    const folder = await openModelFolder(dir, { verify });
    const model = { folder, manifest: canvasManifest(folder, family.schema) };
    chooseShape([canvasShape(model.manifest)], shape);
    return { model, traits: family.traits(model, settings) };
  };
  return {
    describe: async (request) => (await describe(request)).traits,
    async open(request = {}, { inProcess, lane = 0, ...host } = {}) {
      const { settings } = request;
      if (!inProcess) {
        const { traits } = await describe(request);
        const service = siblingModule(import.meta.url, "service");
        const remote = await openRemote<SessionMethods>(service, { dir, host }, `generator ${lane}`);
        return remoteGenerator(traits, remote, {
          settings,
          describe: async (others) => (await describe({ ...request, settings: others })).traits,
        });
      }
      const { model, traits } = await describe(request, true);
      const disposal = new Disposal();
      const loaded = await disposal.during(async () =>
        family.load(await openParts(model, host, (graph) => disposal.use(graph))),
      );
      const under = (given: unknown, own: GeneratorTraits, dispose: () => Promise<void>): Generator => ({
        ...family.create(loaded, own, given),
        withSettings: async (others) => under(others, family.traits(model, others), async () => undefined),
        [Symbol.asyncDispose]: dispose,
      });
      return under(settings, traits, () => disposal[Symbol.asyncDispose]());
    },
  };
}

async function openParts<Manifest extends CanvasManifest>(
  model: CanvasModel<Manifest>,
  { threads }: GeneratorHost,
  use: (graph: OrtSession) => OrtSession,
): Promise<CanvasParts<Manifest>> {
  const { folder, manifest } = model;
  const options = threads === undefined ? {} : { threads };
  const openIn =
    (dir: string) =>
    async (graph: GraphFile): Promise<OrtSession> =>
      use(await openOrtSession(await modelFile(dir, graph), options));
  const open = openIn(folder.dir);
  const { graphs, latents, architecture } = manifest;
  const base = await openAutoencoder(model);
  const openBase = openIn(base.dir);
  const { narrow } = graphs;
  const space = new LatentSpace(
    {
      widen: await open(graphs.widen),
      decoder: await openBase(base.decoder),
      ...(base.draft ? { draft: () => openBase(base.draft!) } : {}),
      ...(narrow && latents.encoder !== undefined
        ? { encoder: async () => ({ encoder: await openBase(base.encoder!), narrow: await open(narrow) }) }
        : {}),
    },
    canvasShape(manifest),
    manifest.tokenChannels,
  );
  const tokenizer = await loadTokenizer(folder.dir, architecture.textMaxLength);
  return {
    ...model,
    open,
    prompts: new Prompts(await open(graphs.prompt), tokenizer),
    step: await open(graphs.step),
    space,
  };
}

/** The autoencoder that the tokens stand on: another model's, and the very one that they were trained with. */
async function openAutoencoder({ folder, manifest }: CanvasModel<CanvasManifest>) {
  const { latents } = manifest;
  const base = await openModelFolder(await embeddedModelPath(latents.model));
  const graphOf = (sha256: string): { readonly file: string } => {
    const found = base.files.find((file) => file.sha256 === sha256);
    if (found) return { file: found.path };
    throw new TtsVarError(
      "MODEL_INVALID",
      `${folder.name} draws latents of the model ${latents.model}, but ${base.dir} has no graph with SHA-256 ${sha256}: it is another version`,
    );
  };
  const maybe = (sha256: string | undefined) => (sha256 === undefined ? undefined : graphOf(sha256));
  return {
    dir: base.dir,
    decoder: graphOf(latents.decoder),
    encoder: maybe(latents.encoder),
    draft: maybe(latents.draft),
  };
}
