import { TtsVarError } from "../../core/errors.ts";
import type {
  Generator,
  GeneratorDefinition,
  GeneratorRequest,
  GeneratorTraits,
} from "../../core/generator.ts";
import { type Endpoint, HttpCalls } from "./http-calls.ts";
import { HttpRemote } from "./http-remote.ts";
import { answerSchemas, type Info, infoSchema, parseAddress } from "./protocol.ts";
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
      // The protocol is checked first: a server of another version answers other calls.
      await askInfo(endpoint);
      return askTraits(endpoint, request);
    },
    async open(request = {}): Promise<Generator> {
      const info = await askInfo(endpoint);
      const traits = await askTraits(endpoint, request);
      return remoteGenerator(traits, new HttpRemote(endpoint, info, traits), {
        settings: request.settings,
        describe: (settings) => askTraits(endpoint, { shape: { id: traits.shape.id }, settings }),
      });
    },
  };
}

async function askInfo(endpoint: Endpoint): Promise<Info> {
  return briefly(endpoint, (calls) => calls.json("info", undefined, infoSchema));
}

async function askTraits(
  endpoint: Endpoint,
  { shape = {}, settings = {} }: GeneratorRequest = {},
): Promise<GeneratorTraits> {
  const { traits } = await briefly(endpoint, (calls) =>
    calls.json("traits", { shape, settings }, answerSchemas.traits),
  );
  const { refine, ...cost } = traits.cost;
  // The memory is the server's: a plan of this machine must not count it.
  return { ...traits, memory: null, cost: { ...cost, ...(refine === undefined ? {} : { refine }) } };
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
