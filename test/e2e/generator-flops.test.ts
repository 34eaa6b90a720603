import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readGraphProfile } from "../../scripts/graph-profile.ts";
import { FULL_VIEW } from "../../src/core/generator.ts";
import { rowFlops } from "../../src/generators/next-scale/infinity/cost.ts";
import { infinityTraits, openNetwork, readInfinity } from "../../src/generators/next-scale/infinity/open.ts";
import { startSession } from "../../src/generators/next-scale/session.ts";
import { resolveSettings } from "../../src/generators/next-scale/settings.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { loadTokenizer } from "../../src/inference/runtime/tokenizer.ts";

it("charges what the runtime executes: shares of the graphs agree within a few per cent", async () => {
  const profile = await mkdtemp(join(tmpdir(), "profile-"));
  const dir = await embeddedModelPath("generator");
  const prompt = "a photo of two dogs and a red car";
  const model = await readInfinity(dir);
  const { manifest, schedule } = model;
  const traits = infinityTraits(model);
  const { cost } = traits;
  const { network, code, close } = await openNetwork(dir, {}, { profile, threads: 1 });
  const settings = resolveSettings(manifest.sampling, {}, code.stages);
  const session = await startSession({ network, code, traits, settings }, { prompt, seed: 0 }, ["c0"]);
  while (session.stage < code.stages) await session.step();
  await session.view([0], FULL_VIEW);
  await close();
  const tokens = (await loadTokenizer(dir)).encode(prompt).length;
  let past = 0;
  let step = 0;
  for (const [h, w] of schedule.scales) {
    step += 2 * rowFlops(manifest.architecture, h * w, past, tokens);
    past += h * w;
  }
  const { flops, graphs } = manifest;
  const decode = cost.views.now!;
  const text = ((flops.text + flops.condition) * tokens) / flops.nominalTokens;
  const counted = async (...names: (keyof typeof graphs)[]): Promise<number> => {
    const found = names.map((name) => readGraphProfile(profile, (graphs[name] as { file: string }).file));
    return (await Promise.all(found)).reduce((sum, graph) => sum + graph.flops, 0);
  };
  expect(Math.abs((await counted("step")) / step - 1)).toBeLessThan(0.02);
  expect(Math.abs((await counted("vae_decode")) / decode - 1)).toBeLessThan(0.02);
  // Small terms that do not grow with the text weigh more where there is little of it.
  expect(Math.abs((await counted("text_encoder", "condition")) / text - 1)).toBeLessThan(0.15);
  await rm(profile, { recursive: true });
});
