import { TtsVarError } from "../../core/errors.ts";
import type { Generator } from "../../core/generator.ts";
import { chooseShape, type ShapeWish } from "../choose-shape.ts";
import type { GeneratorDefinition, GeneratorTraits } from "../definition.ts";
import { type Endpoint, HttpCalls } from "./http-calls.ts";
import { HttpRemote } from "./http-remote.ts";
import { type Info, type InfoSchedule, infoSchema, parseAddress } from "./protocol.ts";
import { remoteGenerator } from "./session-calls.ts";

/** Environment variables: secrets do not belong on command lines, and limits of a network not in a search's settings. */
const TOKEN = "TTSVAR_SAMPLER_TOKEN";
const TIMEOUT = "TTSVAR_SAMPLER_TIMEOUT";
/** A step of a large model on a CPU may take minutes; planning does not wait that long for a server that hangs. */
const DEFAULT_TIMEOUT_S = 600;
const INFO_TIMEOUT_S = 15;

/**
 * A generator behind HTTP (`docs/remote-sampler.md`). Describing asks the server once.
 *
 * @param address     `http://host:port`, or `https://host/path` behind a proxy
 * @param environment where the token and the timeout are read from
 * @throws TtsVarError CONFIG_INVALID for an address or a timeout of another form
 */
export function remoteDefinition(
  address: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): GeneratorDefinition {
  const endpoint: Endpoint = {
    address: parseAddress(address),
    token: environment[TOKEN]?.trim() || undefined,
    timeoutMs: 1000 * secondsOf(environment[TIMEOUT]),
  };
  let asked: Promise<Info> | undefined;
  const info = (): Promise<Info> => {
    asked ??= fetchInfo(endpoint).catch((error) => {
      asked = undefined;
      throw error;
    });
    return asked;
  };
  return {
    describe: async (shape) => describeRemote(await info(), shape).description,
    async open({ shape } = {}): Promise<Generator> {
      const known = await info();
      const { description, schedule } = describeRemote(known, shape);
      return remoteGenerator(description, new HttpRemote(endpoint, known, schedule), {
        encodes: known.encodes,
      });
    },
  };
}

async function fetchInfo(endpoint: Endpoint): Promise<Info> {
  const calls = new HttpCalls({
    ...endpoint,
    timeoutMs: Math.min(endpoint.timeoutMs, 1000 * INFO_TIMEOUT_S),
  });
  try {
    return await calls.json("info", undefined, infoSchema);
  } finally {
    calls.close();
  }
}

function describeRemote(
  info: Info,
  shape: ShapeWish = {},
): { readonly description: GeneratorTraits; readonly schedule: InfoSchedule } {
  const shaped = info.schedules.map((schedule) => ({
    id: schedule.id,
    width: schedule.latent.w * info.pixelsPerLatent,
    height: schedule.latent.h * info.pixelsPerLatent,
    schedule,
  }));
  const { schedule } = chooseShape(shaped, shape);
  const { cost, latent } = schedule;
  const { topK, ...defaults } = schedule.defaults;
  const description: GeneratorTraits = {
    name: info.name,
    version: info.version,
    scales: schedule.scales.map(({ h, w }, index) => ({ index, h, w })),
    latent,
    pixelsPerLatent: info.pixelsPerLatent,
    cost: {
      text: cost.text,
      stage: (index, guided) => cost.stages[index]?.[guided ? "guided" : "unguided"] ?? 0,
      sharedStages: cost.sharedStages,
      decode: ({ h, w }) => cost.decodePerCell * h * w,
    },
    defaults: { ...defaults, ...(topK === undefined ? {} : { topK }) },
    schedule: schedule.id,
    ...(info.bitsPerToken === undefined ? {} : { bitsPerToken: info.bitsPerToken }),
  };
  return { description, schedule };
}

function secondsOf(text: string | undefined): number {
  if (text === undefined || text.trim() === "") return DEFAULT_TIMEOUT_S;
  const seconds = Number(text);
  // Longer timers overflow and fire at once.
  if (seconds > 0 && seconds <= 1e6) return seconds;
  throw new TtsVarError(
    "CONFIG_INVALID",
    `${TIMEOUT} must be a number of seconds from 0 to 1e6, not ${text}`,
  );
}
