import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";
import { flexvarDefinition } from "../../src/generators/next-scale/flexvar/definition.ts";
import { gridsOf } from "../../src/generators/next-scale/flexvar/schedule.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

// The tiny editor's weights under this family: what they draw means nothing, but any schedule runs.
const weights = fileURLToPath(new URL("../fixtures/models/varedit-tiny", import.meta.url));
const dir = await mkdtemp(join(tmpdir(), "flexvar-"));
await cp(weights, dir, { recursive: true });
const manifest = JSON.parse(await readFile(join(dir, "manifest.json"), "utf8"));
const [schedule] = manifest.schedules;
Object.assign(manifest, {
  family: "flexvar",
  codeMagnitude: Array.from({ length: 8 }, () => new Array(8).fill(0.5)),
  schedules: [{ ...schedule, stageFlops: undefined, scales: [...schedule.scales.slice(0, 3), [8, 8]] }],
});
const positions = Array.from({ length: 8 }, (_, at) => at);
for (const axis of ["y", "x"]) manifest.schedules[0].rope[axis][3] = positions;
await writeFile(join(dir, "manifest.json"), JSON.stringify(manifest));

const open = (settings: unknown, id = "1:1") =>
  flexvarDefinition(dir).open({ shape: { id }, settings }, { inProcess: true, threads: 1 });

describeSampler("FlexVAR, tiny", () => open({ steps: 4 }), { otherSettings: { steps: 4, guidance: 1 } });

describe("FlexVAR, tiny", () => {
  let generator: Generator;
  beforeAll(async () => {
    generator = await open({ steps: 5 }, "2:1");
  }, 120_000);
  afterAll(async () => {
    await generator[Symbol.asyncDispose]();
    await rm(dir, { recursive: true, force: true });
  });

  it("draws any number of steps and any shape with one set of weights", async () => {
    expect([generator.traits.shape.width, generator.traits.shape.height]).toEqual([32, 16]);
    for (const steps of [4, 7, 10]) {
      const each = await generator.withSettings!({ steps });
      const session = await each.start({ prompt: "a photo of a dog", seed: 0 }, ["c0"]);
      while (session.stage < each.traits.stages.length) await session.step();
      const [view] = await session.view([0], FULL_VIEW);
      expect([view!.frames[0].width, view!.frames[0].height]).toEqual([32, 16]);
      expect(each.traits.settings["steps"]).toBe(steps);
    }
    await expect(generator.withSettings!({ steps: 3 })).rejects.toThrow(/4 to 10/);
  });

  it("has grids that grow, from one token to the whole", () => {
    for (let steps = 4; steps <= 10; steps++) {
      const grids = gridsOf({ h: 8, w: 8 }, steps);
      expect(grids).toHaveLength(steps);
      expect(grids[0]).toEqual([1, 1]);
      expect(grids.at(-1)).toEqual([8, 8]);
      const cells = grids.map(([h, w]) => h * w);
      expect(cells).toEqual([...cells].sort((a, b) => a - b));
    }
  });
});
