import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";

/** Milliseconds. */
export interface Parts {
  readonly transformer: number;
  readonly decode: number;
}

/** So many candidates through all stages, and their finished pictures. */
export async function drawAll(
  generator: Generator,
  prompt: string,
  count: number,
  seed: number,
): Promise<Parts> {
  const ids = Array.from({ length: count }, (_, index) => `c${index}`);
  const session = await generator.start({ prompt, seed }, ids);
  const begun = performance.now();
  for (const _ of generator.traits.stages) await session.step();
  const drawn = performance.now();
  await session.view([...ids.keys()], FULL_VIEW);
  return { transformer: drawn - begun, decode: performance.now() - drawn };
}
