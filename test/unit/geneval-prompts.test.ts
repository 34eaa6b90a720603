import { describe, expect, it } from "vitest";
import { parseMetadataFile } from "../../src/eval/geneval/metadata.ts";
import { distributeCounts, generatePrompts } from "../../src/eval/geneval/prompts.ts";
import type { GenevalMetadata } from "../../src/eval/geneval/rules.ts";
import { classNames, officialCounts, tags } from "../../src/eval/geneval/vocabulary.ts";

const colors = "red orange yellow green blue purple pink brown black white".split(" ");

/** Reads a prompt back, by the grammar's text alone; its metadata as the official file has it. */
function readPrompt(prompt: string): GenevalMetadata {
  const [, scene] = /^a photo of (.+)$/.exec(prompt)!;
  const thing = (words: string): string => {
    const [, article, name] = /^(an?) (.+)$/.exec(words)!;
    expect(article).toBe("aeiou".includes(name![0]!) ? "an" : "a");
    return name!;
  };
  const object = (name: string): string => {
    expect(classNames).toContain(name);
    return name;
  };
  const colored = (words: string) => {
    const [color, ...name] = thing(words).split(" ");
    expect(colors).toContain(color);
    return { class: object(name.join(" ")), count: 1, color: color! };
  };
  const count = ["two", "three", "four"].indexOf(scene!.split(" ")[0]!) + 2;
  if (count >= 2) {
    const plural = scene!.split(" ").slice(1).join(" ");
    const singular = [plural.slice(0, -1), plural.slice(0, -2)].find((word) => classNames.includes(word));
    const name = object(singular ?? plural);
    expect(plural.length - name.length).toBe(name.endsWith("s") ? 2 : 1);
    const include = [{ class: name, count }];
    return { tag: "counting", include, exclude: [{ class: name, count: count + 1 }], prompt };
  }
  const related = /^(.+) (left of|right of|above|below) (.+)$/.exec(scene!);
  if (related) {
    const [placed, reference] = [object(thing(related[1]!)), object(thing(related[3]!))];
    expect(placed).not.toBe(reference);
    const include = [
      { class: reference, count: 1 },
      { class: placed, count: 1, position: [related[2]!, 0] as const },
    ];
    return { tag: "position", include, prompt };
  }
  const parts = scene!.split(" and ");
  // "an orange" is a fruit, "an orange cat" is not.
  if (!classNames.includes(thing(parts[0]!))) {
    const include = parts.map(colored);
    expect(new Set(include.map((clause) => clause.color)).size).toBe(parts.length);
    expect(new Set(include.map((clause) => clause.class)).size).toBe(parts.length);
    return { tag: parts.length === 1 ? "colors" : "color_attr", include, prompt };
  }
  const include = parts.map((words) => ({ class: object(thing(words)), count: 1 }));
  expect(new Set(include.map((clause) => clause.class)).size).toBe(parts.length);
  return { tag: parts.length === 1 ? "single_object" : "two_object", include, prompt };
}

describe("GenEval prompts", () => {
  const { prompts, short } = generatePrompts({ seed: 7 });

  it("has the official counts, 80 classes, no duplicates and the official row shapes", () => {
    expect(classNames).toHaveLength(80);
    expect(short).toEqual([]);
    const counts = Object.fromEntries(
      tags.map((tag) => [tag, prompts.filter((row) => row.tag === tag).length]),
    );
    expect(counts).toEqual(officialCounts);
    expect(new Set(prompts.map((row) => JSON.stringify(row))).size).toBe(553);
    const counting = prompts.find((row) => row.tag === "counting")!;
    expect(Object.keys(counting)).toEqual(["tag", "include", "exclude", "prompt"]);
    expect(counting.exclude![0]!.count).toBe(counting.include![0]!.count + 1);
    const position = prompts.find((row) => row.tag === "position")!;
    const [reference, placed] = position.include!;
    expect(placed!.position).toEqual([expect.stringMatching(/^(left of|right of|above|below)$/), 0]);
    expect(position.prompt).toMatch(
      new RegExp(`${placed!.class} ${placed!.position![0]} an? ${reference!.class}$`),
    );
    expect(prompts.some((row) => row.include!.some((c) => c.class === "person" && c.color))).toBe(false);
  });

  it("says in every prompt what its metadata asks for, in GenEval's words", () => {
    const many = generatePrompts({ seed: 3, counts: distributeCounts(2500) }).prompts;
    expect(many).toHaveLength(2500);
    for (const row of many) expect(readPrompt(row.prompt)).toEqual(row);
    expect(new Set(many.flatMap((row) => row.include!.map((clause) => clause.color)))).toEqual(
      new Set([undefined, ...colors]),
    );
  });

  it("is a function of the seed, and a smaller set is a prefix by task", () => {
    expect(generatePrompts({ seed: 7 }).prompts).toEqual(prompts);
    expect(generatePrompts({ seed: 8 }).prompts).not.toEqual(prompts);
    const small = generatePrompts({ seed: 7, counts: distributeCounts(60) }).prompts;
    for (const tag of tags) {
      const of = (rows: typeof prompts) => rows.filter((row) => row.tag === tag);
      expect(of(small)).toEqual(of(prompts).slice(0, of(small).length));
    }
  });

  it("makes disjoint sets, in either word order, and says where the grammar is used up", () => {
    const other = generatePrompts({ seed: 1, disjointFrom: prompts });
    expect(other.short).toEqual([{ tag: "single_object", wanted: 80, got: 0 }]);
    const texts = new Set(prompts.map((row) => row.prompt));
    expect(other.prompts.filter((row) => texts.has(row.prompt))).toEqual([]);
    const pairs = (rows: typeof prompts) =>
      rows
        .filter((row) => row.tag === "two_object")
        .map((row) =>
          row
            .include!.map((c) => c.class)
            .sort()
            .join("+"),
        );
    const used = new Set(pairs(prompts));
    expect(pairs(other.prompts).filter((pair) => used.has(pair))).toEqual([]);
  });

  it("splits any total in the official proportions, within what the grammar has", () => {
    expect(distributeCounts(553)).toEqual(officialCounts);
    for (const total of [0, 1, 7, 553, 2212, 5000]) {
      expect(Object.values(distributeCounts(total)).reduce((sum, count) => sum + count, 0)).toBe(total);
    }
    expect(distributeCounts(5000)).toMatchObject({ single_object: 80, counting: 240, colors: 790 });
    expect(generatePrompts({ seed: 0, counts: distributeCounts(1500) }).short).toEqual([]);
  });

  it("reads the official file and names a bad line by its number", () => {
    const row = (prompt: string) =>
      JSON.stringify({ tag: "single_object", include: [{ class: "dog", count: 1 }], prompt });
    expect(parseMetadataFile(`${row("a")}\n${row("b")}\n\n`, "p.jsonl").map((r) => r.prompt)).toEqual([
      "a",
      "b",
    ]);
    expect(() => parseMetadataFile(`${row("a")}\n{"tag": "x`, "p.jsonl")).toThrow(/^p\.jsonl:2: not JSON/);
    expect(() => parseMetadataFile(`${row("a")}\n\n${row("b")}`, "p.jsonl")).toThrow(/^p\.jsonl:2: not JSON/);
    expect(() => parseMetadataFile(`{"include": [], "prompt": "a"}`, "p.jsonl")).toThrow(
      /^p\.jsonl:1: .*tag/,
    );
    expect(() => parseMetadataFile(`${row("a")}\n${row("a")}`, "p.jsonl")).toThrow(
      /:2: the same row as line 1/,
    );
    const early = `{"tag":"position","include":[{"class":"dog","count":1,"position":["above",0]}],"prompt":"a"}`;
    expect(() => parseMetadataFile(early, "p.jsonl")).toThrow(/must be an earlier one/);
    expect(() => parseMetadataFile("\n", "p.jsonl")).toThrow(/empty/);
  });
});
