import { describe, expect, it } from "vitest";
import type { ShapeWish } from "../../src/core/generator.ts";
import { chooseShape } from "../../src/generators/choose-shape.ts";

const shapes = [
  { id: "1:1@small", width: 256, height: 256, label: "0.06M" },
  { id: "4:3@small", width: 320, height: 240, label: "0.06M" },
  { id: "3:4@small", width: 240, height: 320, label: "0.06M" },
  { id: "7:4@small", width: 336, height: 192, label: "0.06M" },
  { id: "1:1@large", width: 1024, height: 1024, label: "1M" },
  { id: "4:3@large", width: 1152, height: 864, label: "1M" },
];
const choose = (wish: ShapeWish) => chooseShape(shapes, wish).id;

describe("chooseShape", () => {
  it("takes the first, and changes only what was asked for", () => {
    expect(choose({})).toBe("1:1@small");
    expect(choose({ ratio: "4:3" })).toBe("4:3@small");
    expect(choose({ size: "1M" })).toBe("1:1@large");
    expect(choose({ size: "1M", ratio: "4:3" })).toBe("4:3@large");
    expect(choose({ id: "3:4@small" })).toBe("3:4@small");
  });

  it("reads ratios as width to height and takes the nearest one", () => {
    expect(choose({ ratio: "3:4" })).toBe("3:4@small");
    expect(choose({ ratio: "1.3" })).toBe("4:3@small");
    expect(choose({ ratio: "16:9" })).toBe("7:4@small");
    expect(choose({ ratio: "100:101" })).toBe("1:1@small");
  });

  it("knows sizes by the model's name, by megapixels and by pixels", () => {
    expect(choose({ size: "0.06M" })).toBe("1:1@small");
    expect(choose({ size: "0.95M" })).toBe("1:1@large");
    expect(choose({ size: "1152x864" })).toBe("4:3@large");
    expect(choose({ size: "240x320" })).toBe("3:4@small");
  });

  it("refuses what the model does not have, with everything that it has", () => {
    const all = /it has 1:1@small \(256x256\), 4:3@small \(320x240\), .* \(width x height\)/;
    for (const wish of [
      { ratio: "5:1" },
      { ratio: "7:4", size: "1M" },
      { size: "0.25M" },
      { size: "320x256" },
      { id: "2:3" },
      { id: "1:1@small", size: "1M" },
    ]) {
      expect(() => choose(wish)).toThrow(all);
    }
    expect(() => choose({ ratio: "7:4", size: "1M" })).toThrow(/no ratio 7:4 with size 1M/);
  });

  it("says what a ratio and a size look like", () => {
    expect(() => choose({ ratio: "wide" })).toThrow(/such as 4:3, not wide/);
    expect(() => choose({ ratio: "1:0" })).toThrow(/such as 4:3/);
    expect(() => choose({ size: "big" })).toThrow(/such as 0\.25M.*512x512, not big/);
  });
});
