import { describe, expect, it } from "vitest";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { loadTokenizer } from "../../src/inference/runtime/tokenizer.ts";

describe("tokenizer", () => {
  it.each(["generator", "dual-encoder"])("of the %s reads past any number of blanks", async (name) => {
    const { encode } = await loadTokenizer(await embeddedModelPath(name));
    const few = encode("a blue dog and a cup");
    expect(encode(`${" \n".repeat(50_000)}a blue dog${"\t".repeat(100_000)}, a cup`)).toEqual(few);
  });
});
