import { Disposal } from "../../../core/disposal.ts";
import type { Generator, GeneratorRequest } from "../../../core/generator.ts";
import { bitGenerator } from "../bit-generator.ts";
import { type InfinityOptions, openNetwork } from "../infinity/open.ts";
import { handOver } from "./hand-over.ts";
import { folderOf } from "./options.ts";
import { pairTraits, readPair, settingsOf } from "./pair.ts";

/**
 * Loads both models of a pair on the calling thread; all files are verified first.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, CONFIG_INVALID
 */
export async function loadPair(
  { shape, settings }: GeneratorRequest = {},
  options: InfinityOptions = {},
): Promise<Generator> {
  const pair = await readPair(settings, shape);
  // Wrong settings are told before anything is loaded.
  pairTraits(pair, settings);
  const owned = new Disposal();
  const open = async (name: string) => {
    const opened = await openNetwork(await folderOf(name), { id: pair.drafter.schedule.id }, options);
    owned.use({ [Symbol.asyncDispose]: () => opened.close() });
    return opened;
  };
  return owned.during(async () => {
    const drafter = await open(pair.names.drafter);
    const refiner = await open(pair.names.refiner);
    const model = {
      code: drafter.code,
      under: async (given: unknown) => {
        const { at, sampling } = settingsOf(pair, given);
        return {
          traits: pairTraits(pair, given),
          settings: sampling,
          network: handOver(drafter.network, refiner.network, at),
        };
      },
      ...(drafter.encode ? { encode: drafter.encode } : {}),
      ...(drafter.reference ? { reference: drafter.reference } : {}),
      close: () => owned[Symbol.asyncDispose](),
    };
    return bitGenerator(model, settings);
  });
}
