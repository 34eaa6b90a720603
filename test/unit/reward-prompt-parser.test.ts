import { describe, expect, test } from "vitest";
import { parsePrompt } from "../../rewards/parts/prompt-parser.ts";
import { generatePrompts } from "../../src/eval/geneval/prompts.ts";
import { officialCounts } from "../../src/eval/geneval/vocabulary.ts";

describe("prompts become GenEval metadata", () => {
  test("every prompt of GenEval's grammar gives back its own row", () => {
    const { prompts } = generatePrompts({ seed: 5, counts: officialCounts });
    expect(prompts.length).toBeGreaterThan(500);
    for (const metadata of prompts) expect(parsePrompt(metadata.prompt)).toEqual(metadata);
  });

  test.each([
    ["A picture of three benches.", "counting", [{ class: "bench", count: 3 }]],
    ["an image of 2 teddy bears", "counting", [{ class: "teddy bear", count: 2 }]],
    ["an orange orange", "colors", [{ class: "orange", count: 1, color: "orange" }]],
    ["a photo of an orange", "single_object", [{ class: "orange", count: 1 }]],
    [
      "a fridge next to a green sofa",
      "color_attr",
      [
        { class: "refrigerator", count: 1 },
        { class: "couch", count: 1, color: "green" },
      ],
    ],
    ["a purple-colored hot dog", "colors", [{ class: "hot dog", count: 1, color: "purple" }]],
    [
      "scissors and sheep",
      "two_object",
      [
        { class: "scissors", count: 1 },
        { class: "sheep", count: 1 },
      ],
    ],
    [
      "a red car on top of a blue bus",
      "position",
      [
        { class: "bus", count: 1, color: "blue" },
        { class: "car", count: 1, color: "red", position: ["above", 0] },
      ],
    ],
    [
      "a cat to the left of a dog under a tv",
      "position",
      [
        { class: "tv", count: 1 },
        { class: "dog", count: 1, position: ["below", 0] },
        { class: "cat", count: 1, position: ["left of", 1] },
      ],
    ],
  ])("%s", (prompt, tag, include) => {
    expect(parsePrompt(prompt)).toMatchObject({ tag, include, prompt });
  });

  test("counts that were said are exact, plurals without a number are at least two", () => {
    expect(parsePrompt("two red cups and three dogs").exclude).toEqual([
      { class: "cup", count: 3 },
      { class: "dog", count: 4 },
    ]);
    const plural = parsePrompt("a photo of dogs");
    expect(plural).toMatchObject({ include: [{ class: "dog", count: 2 }] });
    expect(plural.exclude).toBeUndefined();
  });

  test.each([
    ["a photo of a dragon and a dog", /does not know "dragon"/],
    ["", /names none of GenEval's 80 classes/],
    ["a red dog and a blue dog", /names "dog" twice/],
    ["a dog left of", /nothing follows "left of"/],
    ["a red photo of a dog", /does not know "red"/],
  ])("%j is refused: %s", (prompt, message) => {
    expect(() => parsePrompt(prompt)).toThrow(message);
  });
});
