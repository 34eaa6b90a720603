import { Disposal } from "../../../core/disposal.ts";
import type { Generator, GeneratorRequest } from "../../../core/generator.ts";
import { modelFile } from "../../../inference/folder/model-folder.ts";
import { type OrtSession, openOrtSession } from "../../../inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../../inference/runtime/tokenizer.ts";
import { bitGenerator } from "../bit-generator.ts";
import { createEncoder } from "../encode.ts";
import { createCode, type InfinityOptions } from "../infinity/open.ts";
import { readSidecar } from "../infinity/sidecar.ts";
import { readHmar } from "./manifest.ts";
import { HmarNetwork } from "./network.ts";
import { resolveHmar } from "./settings.ts";
import { hmarTraits } from "./traits.ts";

/**
 * Loads a generator of the HMAR family on the calling thread; all files are verified first.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, CONFIG_INVALID
 */
export async function loadHmar(
  dir: string,
  { shape, settings }: GeneratorRequest = {},
  { threads, rowsAtOnce }: InfinityOptions = {},
): Promise<Generator> {
  // Wrong settings are told before anything is loaded.
  hmarTraits(await readHmar(dir, shape), settings);
  const model = await readHmar(dir, shape, true);
  const { folder, manifest, schedule } = model;
  const { graphs, architecture } = manifest;
  const owned = new Disposal();
  const open = async (graph: Parameters<typeof modelFile>[1]): Promise<OrtSession> =>
    owned.use(
      await openOrtSession(await modelFile(folder.dir, graph), threads === undefined ? {} : { threads }),
    );
  return owned.during(async () => {
    const parts = {
      manifest,
      sidecar: await readSidecar(folder.dir, manifest.sidecar),
      tokenizer: await loadTokenizer(folder.dir, architecture.textMaxLength),
      textEncoder: await open(graphs.text_encoder),
      condition: await open(graphs.condition),
      step: await open(graphs.step),
      mask: await open({ file: model.maskFile }),
      decoder: await open(graphs.vae_decode),
      draftDecoder: graphs.vae_draft ? await open(graphs.vae_draft) : null,
    };
    const code = createCode(manifest, schedule);
    const network = new HmarNetwork(parts, schedule, rowsAtOnce);
    const encoder = graphs.vae_encode;
    const bits = {
      code,
      under: async (given: unknown) => {
        const { sampling, passes } = resolveHmar(model, given);
        return { traits: hmarTraits(model, given), settings: sampling, passes, network };
      },
      ...(encoder ? { encode: createEncoder(() => open(encoder), code, manifest.image.stride) } : {}),
      close: () => owned[Symbol.asyncDispose](),
    };
    return bitGenerator(bits, settings);
  });
}
