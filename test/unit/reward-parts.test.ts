import { describe, expect, test } from "vitest";
import { bestPassage, editDistance, quotedTexts, textScore } from "../../rewards/parts/text-match.ts";
import { meanRanks } from "../../rewards/rank.ts";
import { commercialUse } from "../../src/core/licence.ts";
import { decodeText } from "../../src/inference/ocr/decode-text.ts";
import { linesOf } from "../../src/inference/ocr/lines.ts";
import { chanceOf, shareOfYes } from "../../src/inference/vlm/answers.ts";

describe("quoted texts", () => {
  test.each([
    ['a sign "OPEN" and "Now  hiring"', ["OPEN", "Now  hiring"]],
    ["the words 'don't panic' on a farmer's book", ["don't panic"]],
    ["\u201cHello\u201d, \u2018you\u2019 and \u300c\u672c\u300d", ["Hello", "you", "\u672c"]],
    ["nothing, the dogs' home", []],
    ['empty ""', []],
  ])("%s", (prompt, texts) => expect(quotedTexts(prompt)).toEqual(texts));

  test("are scored by what is read, whatever the order, the case and the spaces", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(textScore(["Open daily", "8 to 5"], "8TO5 OPEN DAILY")).toBe(1);
    expect(textScore(["open"], "open now")).toBeCloseTo(4 / 7, 12);
    expect(textScore(["open"], "")).toBe(0);
    expect(bestPassage("open", "wellopennow")).toBe(1);
    expect(bestPassage("open", "opn")).toBe(0.75);
  });
});

describe("mean ranks", () => {
  const terms = [{ weight: 1 }, { weight: 3 }];
  test("count shares of the others that are beaten, ties half, weighted", () => {
    expect(
      meanRanks(
        [
          [5, 1],
          [7, 1],
          [9, 0],
        ],
        terms,
      ),
    ).toEqual([(0 + 3 * 0.75) / 4, (0.5 + 3 * 0.75) / 4, (1 + 0) / 4]);
  });
  test("leave out terms that do not apply, and know no best of one", () => {
    expect(
      meanRanks(
        [
          [5, null],
          [7, 2],
        ],
        terms,
      ),
    ).toEqual([0, (1 + 3 * 0.5) / 4]);
    expect(meanRanks([[5, 2]], terms)).toEqual([0.5]);
  });
});

test("lines are found above the thresholds, grown, in reading order", () => {
  const [width, height] = [40, 20];
  const map = new Float32Array(width * height);
  const paint = (left: number, top: number, right: number, bottom: number, p: number) => {
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) map[y * width + x] = p;
  };
  paint(22, 3, 34, 7, 0.9);
  paint(4, 4, 16, 8, 0.9);
  paint(4, 13, 16, 17, 0.5);
  paint(24, 14, 26, 16, 0.9);
  expect(linesOf(map, width, height)).toEqual([
    { left: 2, top: 2, right: 18, bottom: 10 },
    { left: 20, top: 1, right: 36, bottom: 9 },
  ]);
});

test("texts are decoded by merging repetitions and dropping blanks", () => {
  const column = (best: number) => [0, 1, 2].map((each) => (each === best ? 0.8 : 0.1));
  const columns = [1, 1, 0, 1, 2, 2, 0].flatMap(column);
  expect(decodeText(columns, 3, ["a", "b"])).toEqual({ text: "aab", confidence: expect.closeTo(0.8, 12) });
  expect(decodeText(column(0), 3, ["a", "b"])).toEqual({ text: "", confidence: 0 });
});

test("answers count in the spellings that Soft-TIFA accepts, and no others", () => {
  const tokens = ["four", " Four", "4", "\u01204", "fourth", "FOUR", "five"].map((token, at) => ({
    token,
    p: 2 ** -(at + 1),
  }));
  expect(chanceOf({ expected: "four" }, tokens)).toBe(1 / 2 + 1 / 4 + 1 / 8 + 1 / 16);
  expect(
    chanceOf({ expected: "Yes" }, [
      { token: "\u2581yes", p: 0.5 },
      { token: "Yes.", p: 0.5 },
    ]),
  ).toBe(0.5);
  expect(shareOfYes([{ token: "Maybe", p: 1 }])).toBeNull();
});

test.each([
  ["MIT", "yes"],
  ["Apache-2.0, MIT", "yes"],
  ["CC-BY-NC-4.0", "no"],
  ["Apache-2.0, AGPL-3.0", "ask"],
  ["the model's", "ask"],
  ["MIT (repository)", "ask"],
])("%s: commercial use %s", (license, use) => expect(commercialUse(license)).toBe(use));
