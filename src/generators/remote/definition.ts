import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type {
  Generator,
  GeneratorDefinition,
  GeneratorRequest,
  GeneratorTraits,
} from "../../core/generator.ts";
import { chooseShape } from "../choose-shape.ts";
import { type Endpoint, HttpCalls } from "./http-calls.ts";
import { HttpRemote } from "./http-remote.ts";
import { answerSchemas, type Info, infoSchema, PROTOCOL, parseAddress } from "./protocol.ts";
import { remoteGenerator } from "./session-calls.ts";

/** Environment variables: secrets do not belong on command lines, and limits of a network not in a search's settings. */
const TOKEN = "TTSVAR_SAMPLER_TOKEN";
const TIMEOUT = "TTSVAR_SAMPLER_TIMEOUT";
/** A step of a large model on a CPU may take minutes; planning does not wait that long for a server that hangs. */
const DEFAULT_TIMEOUT_S = 600;
const INFO_TIMEOUT_S = 15;

/**
 * A generator behind HTTP (`docs/remote-sampler.md`). Describing asks the server.
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
  return {
    async describe(request) {
      return (await ask(endpoint, request)).traits;
    },
    async open(request = {}): Promise<Generator> {
      const { info, traits } = await ask(endpoint, request);
      return remoteGenerator(traits, new HttpRemote(endpoint, info, traits), {
        settings: request.settings,
        describe: (settings) => briefly(endpoint, (calls) => askTraits(calls, traits.shape.id, settings)),
      });
    },
  };
}

/** Who serves what, and the traits of what is asked for. The nearest shape is found here, so that no server has to. */
function ask(
  endpoint: Endpoint,
  { shape = {}, settings }: GeneratorRequest = {},
): Promise<{ readonly info: Info; readonly traits: GeneratorTraits }> {
  return briefly(endpoint, async (calls) => {
    const info = await askInfo(calls);
    const traits = await askTraits(calls, chooseShape(info.shapes, shape).id, settings);
    return { info, traits };
  });
}

async function askInfo(calls: HttpCalls): Promise<Info> {
  try {
    return await calls.json("info", undefined, infoSchema);
  } catch (error) {
    if (!(error instanceof TtsVarError) || error.details["remoteCode"] !== "unknown-method") throw error;
    // Perhaps it speaks version 1, and has its calls elsewhere.
    const older = await calls
      .json("/v1/info", undefined, z.object({ protocol: z.string().max(40) }))
      .catch(() => null);
    if (!older) throw error;
    throw new TtsVarError(
      "MODEL_INVALID",
      `${calls.name} speaks ${older.protocol}, and this tts-var ${PROTOCOL}; run the same release of tts-var on both sides`,
    );
  }
}

async function askTraits(calls: HttpCalls, shape: string, settings: unknown): Promise<GeneratorTraits> {
  const request = { shape, settings: { ...(settings as object | undefined) } };
  const { traits } = await calls.json("traits", request, answerSchemas.traits);
  if (traits.shape.id !== shape) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${calls.name} was asked for ${shape} and tells ${traits.shape.id}`,
    );
  }
  const { refine, ...cost } = traits.cost;
  // Its memory is none of this machine's.
  return { ...traits, cost: { ...cost, ...(refine === undefined ? {} : { refine }) }, memory: null };
}

async function briefly<Answer>(
  endpoint: Endpoint,
  ask: (calls: HttpCalls) => Promise<Answer>,
): Promise<Answer> {
  const timeoutMs = Math.min(endpoint.timeoutMs, 1000 * INFO_TIMEOUT_S);
  const calls = new HttpCalls({ ...endpoint, timeoutMs });
  try {
    return await ask(calls);
  } finally {
    calls.close();
  }
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
