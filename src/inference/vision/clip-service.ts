/** CLIP through transformers.js, and the service module that runs it inside an inference worker. */
import { join } from "node:path";
import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Tensor } from "../../core/tensor.ts";
import { openModelFolder } from "../folder/model-folder.ts";
import { sessionOptions } from "../runtime/ort-session.ts";
import { stackTensors } from "../runtime/stack-tensors.ts";
import { loadTokenizer } from "../runtime/tokenizer.ts";
import { transformers } from "../runtime/transformers.ts";
import type { Service } from "../runtime/worker/protocol.ts";
import type { Clip, ClipMethods } from "./clip.ts";
import { fitImage, readInputSize } from "./image-input.ts";

export interface ClipServiceOptions {
  readonly dir: string;
  readonly threads?: number;
}

/** @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME */
export async function openClip({ dir, threads }: ClipServiceOptions): Promise<Clip> {
  const folder = await openModelFolder(dir, { allowBare: true });
  const library = await transformers();
  const options = { session_options: sessionOptions(threads === undefined ? {} : { threads }) };
  const failed = (cause: unknown): never => {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new TtsVarError("MODEL_RUNTIME", `transformers.js cannot load ${folder.dir}: ${message}`, {
      cause,
    });
  };
  const processor = await library.AutoProcessor.from_pretrained(folder.dir).catch(failed);
  const texts = await library.CLIPTextModelWithProjection.from_pretrained(folder.dir, options).catch(failed);
  const views = await library.CLIPVisionModelWithProjection.from_pretrained(folder.dir, options).catch(
    failed,
  );
  const tokenizer = await loadTokenizer(folder.dir);
  const size = await readInputSize(folder.dir);

  async function text(prompt: string): Promise<Tensor> {
    const ids = tokenizer.encode(prompt);
    const row = (values: bigint[]) =>
      new library.Tensor("int64", BigInt64Array.from(values), [1, ids.length]);
    const inputs = { input_ids: row(ids.map(BigInt)), attention_mask: row(ids.map(() => 1n)) };
    return plain((await texts(inputs)).text_embeds, "text_embeds", join(dir, "onnx/text_model.onnx"));
  }

  async function view(image: RgbImage): Promise<{ embeds: Tensor; tokens: Tensor | null }> {
    const { data, width, height } = await fitImage(image, size);
    const inputs = await processor([new library.RawImage(data, width, height, 3)]);
    const output = await views({ pixel_values: inputs.pixel_values });
    const file = join(dir, "onnx/vision_model.onnx");
    return {
      embeds: plain(output.image_embeds, "image_embeds", file),
      tokens: output.last_hidden_state ? plain(output.last_hidden_state, "last_hidden_state", file) : null,
    };
  }

  return {
    modelId: folder.modelId,
    flops: readFlops(folder.manifest),
    // One at a time: a row's bits could otherwise depend on the number of rows (see decision record 0003).
    async encodeText(prompts) {
      const rows: Tensor[] = [];
      for (const prompt of prompts) rows.push(await text(prompt));
      return stackTensors(rows);
    },
    async encodeImages(images) {
      const embeds: Tensor[] = [];
      const tokens: Tensor[] = [];
      for (const image of images) {
        const one = await view(image);
        embeds.push(one.embeds);
        if (one.tokens) tokens.push(one.tokens);
      }
      return { embeds: stackTensors(embeds), tokens: tokens.length > 0 ? stackTensors(tokens) : null };
    },
    async dispose() {
      await Promise.all([texts.dispose(), views.dispose()]);
    },
  };
}

function readFlops(manifest: Readonly<Record<string, unknown>>): { image: number; text: number } {
  const flops = manifest["flops"] as { image?: unknown; text?: unknown } | undefined;
  const number = (value: unknown) => (typeof value === "number" ? value : 0);
  return { image: number(flops?.image), text: number(flops?.text) };
}

function plain(tensor: { dims: number[]; data: unknown } | undefined, name: string, file: string): Tensor {
  if (!tensor)
    throw new TtsVarError("MODEL_INVALID", `${file} has no output ${name}; export it with projection`);
  if (!(tensor.data instanceof Float32Array)) {
    throw new TtsVarError("MODEL_INVALID", `output ${name} of ${file} is not float32; export it so`);
  }
  return { dims: tensor.dims, data: tensor.data };
}

export async function openService(options: ClipServiceOptions): Promise<Service<ClipMethods>> {
  const clip = await openClip(options);
  return {
    methods: {
      describe: async () => ({ modelId: clip.modelId, flops: clip.flops }),
      encodeText: (prompts) => clip.encodeText(prompts),
      encodeImages: (images) => clip.encodeImages(images),
    },
    close: () => clip.dispose(),
  };
}
