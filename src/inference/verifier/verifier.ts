import * as z from "zod";
import { Disposal } from "../../core/disposal.ts";
import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import { type ModelFolder, modelFile, openModelFolder, parseWith } from "../folder/model-folder.ts";
import { openOrtSession } from "../runtime/ort-session.ts";
import { loadTokenizer } from "../runtime/tokenizer.ts";
import { fitImage } from "../vision/image-processor.ts";

const count = z.int().positive();
const flops = z.number().min(0);
const file = z.looseObject({ file: z.string(), sha256: z.string(), of: z.string().optional() });
const schema = z.looseObject({
  image: z.looseObject({ size: count }),
  architecture: z.looseObject({ textMaxLength: count }),
  graphs: z.looseObject({ narrow: file }),
  verify: file.extend({
    /** From pixels to what `narrow` makes tokens of. */
    encoder: file,
    /** FLOPs: from pixels to tokens, the encoder's pass over them, and a question. */
    flops: z.looseObject({ encode: flops, picture: flops, question: flops }),
  }),
});

/** What a folder's verifier is and costs; needs no weights. */
export interface VerifierFacts {
  readonly modelId: string;
  /** FLOPs of so many questions about a picture. */
  flops(questions: number): number;
}

/** A generator's own encoder that answers questions about pictures. */
export interface Verifier extends VerifierFacts, AsyncDisposable {
  /** Probability of yes by question. The picture may have any size. */
  answers(image: RgbImage, questions: readonly string[]): Promise<number[]>;
}

function describe(folder: ModelFolder): { facts: VerifierFacts; manifest: z.output<typeof schema> } {
  if (folder.manifest["verify"] === undefined) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${folder.name} (${folder.dir}) has no verifier of its own; the model harmon has one`,
    );
  }
  const manifest = parseWith(schema, folder.manifest, `${folder.dir}/manifest.json`);
  const { encode, picture, question } = manifest.verify.flops;
  const facts = {
    modelId: folder.modelId,
    flops: (questions: number) => encode + picture + questions * question,
  };
  return { facts, manifest };
}

/** @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID */
export async function describeVerifier(dir: string): Promise<VerifierFacts> {
  return describe(await openModelFolder(dir, { verify: false })).facts;
}

/** @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID */
export async function openVerifier(dir: string): Promise<Verifier> {
  const folder = await openModelFolder(dir);
  const { facts, manifest } = describe(folder);
  const { image: form, graphs, verify, architecture } = manifest;
  const tokenizer = await loadTokenizer(folder.dir, architecture.textMaxLength);
  const disposal = new Disposal();
  const [encoder, narrow, verifier] = await disposal.during(async () => {
    const open = [];
    for (const graph of [verify.encoder, graphs.narrow, verify]) {
      open.push(disposal.use(await openOrtSession(await modelFile(folder.dir, graph), { threads: 1 })));
    }
    return open;
  });
  return {
    ...facts,
    async answers(image, questions) {
      const { width, height, data } = await fitImage(image, { width: form.size, height: form.size });
      const pixels = width * height;
      const planes = Float32Array.from(
        { length: 3 * pixels },
        (_, at) => Math.fround(data[(at % pixels) * 3 + Math.floor(at / pixels)]! / 255) * 2 - 1,
      );
      const { features } = await encoder!.run({ image: { dims: [1, 3, height, width], data: planes } }, [
        "features",
      ]);
      const { token } = await narrow!.run({ latent: features! }, ["token"]);
      const [, values, rows, columns] = token!.dims as [number, number, number, number];
      const cells = rows * columns;
      const tokens = Float32Array.from(
        { length: token!.data.length },
        (_, at) => token!.data[(at % values) * cells + Math.floor(at / values)]!,
      );
      const ids = questions.map((question) => tokenizer.encode(question));
      const length = Math.max(...ids.map((own) => own.length));
      const padded = ids.flatMap((own) => [...own, ...new Array<number>(length - own.length).fill(0)]);
      const { yes } = await verifier!.run(
        {
          tokens: { dims: [1, cells, values], data: tokens },
          input_ids: { dims: [ids.length, length], data: BigInt64Array.from(padded, BigInt) },
        },
        ["yes"],
      );
      return [...yes!.data];
    },
    [Symbol.asyncDispose]: () => disposal[Symbol.asyncDispose](),
  };
}
