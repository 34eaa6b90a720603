import { beforeAll, describe, expect, it } from "vitest";
import { promptChecker, promptWarnings } from "../../src/assemble/prompt-check.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";

describe("what the embedded generator makes of a prompt", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await embeddedModelPath("generator");
  });
  const warningsOf = async (prompt: string) => promptWarnings((await promptChecker(folder))!(prompt));
  const nothingLeft = expect.stringContaining("nothing of the prompt is left");

  it("has nothing to say to what it knows", async () => {
    for (const prompt of [
      "a photo of two red cups",
      "a hot dog to the left of a tv remote",
      "a cat, and a dog!",
    ])
      expect(await warningsOf(prompt)).toEqual([]);
  });

  it.each([["🐶"], ["🐶🐱 👩‍🚀"], ["🇫🇷"], ["!!! ---"], ["..."], ["qwxz vrrt"], ["一只狗"], ["कुत्ता"]])(
    "says of %j that nothing of it can be drawn",
    async (prompt) => {
      expect(await warningsOf(prompt)).toContainEqual(nothingLeft);
    },
  );

  it("names a picture among words as it names a word", async () => {
    const warnings = await warningsOf("a photo of a 🐶 and a spaceship");
    expect(warnings).toEqual([expect.stringMatching(/does not know "🐶", "spaceship" and ignores them/)]);
  });
});
