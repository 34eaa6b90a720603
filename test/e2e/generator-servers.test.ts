import { describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";
import { tokenHash } from "../../src/core/tokens.ts";
import { generatorOfAddress } from "../../src/generators/index.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { fleetOf } from "../../src/generators/remote/many-servers.ts";
import { type ServedGenerator, serveOverHttp } from "../../src/generators/remote/serve.ts";
import { canvasDefinition } from "../../src/generators/toys/canvas.ts";
import { open } from "../../src/index.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

async function serveToy(): Promise<ServedGenerator> {
  return serveOverHttp(await toyDefinition.open());
}

async function openFleet(...served: readonly ServedGenerator[]): Promise<Generator> {
  return (await generatorOfAddress(served.map(({ url }) => url).join(","))).open();
}

describeSampler("toys side by side", async () => {
  const one = async (name: string) => ({ name, generator: await canvasDefinition.open() });
  return fleetOf([await one("first"), await one("second")]);
});

describe("several servers", { timeout: 120_000 }, () => {
  const task = { prompt: "two cups", seed: 3 };

  it("make a session again where one of them goes away, bit for bit", async () => {
    const [first, second] = [await serveToy(), await serveToy()];
    const fleet = await openFleet(first, second);
    const local = await toyDefinition.open();
    const ids = ["c0", "c1", "c2"];
    const picks = [
      { parent: 2, id: "c2" },
      { parent: 2, id: "c2.1" },
    ];
    const sessions = [await fleet.start(task, ids), await local.start(task, ids)];
    const branches = [];
    for (const session of sessions) {
      await session.step();
      await session.step();
      await session.select(picks);
      branches.push(await session.branch([{ parent: 1, id: "c2.1" }]));
    }
    await first[Symbol.asyncDispose]();
    const shown = [];
    for (const session of [...sessions, ...branches]) {
      const signals = await session.step();
      const tokens = await Promise.all([0, 1, 2].map((stage) => session.tokens([0], stage)));
      const [picture] = await session.view([0], FULL_VIEW);
      shown.push([
        session.stage,
        session.ids,
        signals.tokenHash,
        tokens.flat().map(tokenHash),
        picture!.frames[0].data,
      ]);
    }
    expect(shown[0]).toEqual(shown[1]);
    expect(shown[2]).toEqual(shown[3]);
    await second[Symbol.asyncDispose]();
    // Nobody is left who could go on.
    await expect(sessions[0]!.step()).rejects.toMatchObject({ code: "MODEL_RUNTIME" });
    await fleet[Symbol.asyncDispose]();
  });

  it("share the prompts of a run, and one of them finishes it alone with equal images", async () => {
    const settings = { reward: "./test/fixtures/brightness.mjs", strategy: "best-of-n", budget: 3 } as const;
    const prompts = Array.from({ length: 6 }, (_, at) => `${at} cups`);
    const hashes = async (model: string, after?: (index: number) => Promise<void>) => {
      const tts = await open({ ...settings, model });
      const found: string[] = [];
      for await (const { best, index } of tts.search(prompts, { jobs: 2 })) {
        found.push(best.pixelHash);
        await after?.(index);
      }
      await tts[Symbol.asyncDispose]();
      return found;
    };
    const [first, second] = [await serveToy(), await serveToy()];
    const together = await hashes(`${first.url},${second.url}`, async (index) => {
      if (index === 1) await first[Symbol.asyncDispose]();
    });
    await second[Symbol.asyncDispose]();
    expect(together).toEqual(await hashes("toy"));
  });

  it("must serve the same model", async () => {
    const first = await serveToy();
    const second = await serveOverHttp(await canvasDefinition.open());
    const both = await generatorOfAddress(`${first.url},${second.url}`);
    await expect(both.describe()).rejects.toThrow(/servers of one search must serve the same model/);
    await expect(both.open()).rejects.toMatchObject({ code: "MODEL_INVALID" });
    await expect(generatorOfAddress(`${first.url},http://x?y`)).rejects.toThrow(/must not have a query/);
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
  });
});
