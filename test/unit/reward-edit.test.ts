import { describe, expect, it } from "vitest";
import { parseInstruction } from "../../rewards/parts/edit-instruction.ts";

describe("instructions of edits", () => {
  it.each([
    [
      "make the cup red",
      { kind: "recolour", from: "cup", to: { class: "cup", count: 1, color: "red" }, way: null },
    ],
    [
      "Paint a sports ball blue.",
      { kind: "recolour", from: "sports ball", to: { class: "sports ball", color: "blue" } },
    ],
    [
      "replace the cup with a green dog",
      { kind: "replace", from: "cup", to: { class: "dog", count: 1, color: "green" }, way: null },
    ],
    ["add a tv to the left", { kind: "add", from: null, to: { class: "tv", count: 1 }, way: "left" }],
    ["add a tv", { kind: "add", from: null, to: { class: "tv", count: 1 }, way: null }],
    ["delete the hair drier", { kind: "remove", from: "hair drier", to: null, way: null }],
    [
      "move the bear to the right",
      { kind: "move", from: "bear", to: { class: "bear", count: 1 }, way: "right" },
    ],
    ["move the bear up", { kind: "move", from: "bear", way: "up" }],
  ])("%s", (text, meant) => {
    expect(parseInstruction(text)).toMatchObject(meant);
  });

  it("says which forms there are, and what it did not understand", () => {
    const refused = (text: string, why: RegExp) => expect(() => parseInstruction(text)).toThrow(why);
    refused("a photo of a cup", /cannot read the instruction "a photo of a cup".*make the cup red/);
    refused("make the cup larger", /none of the forms/);
    refused("remove two dogs", /"two dogs" is not one object/);
    refused("remove the wizard", /does not know "wizard"/);
  });
});
