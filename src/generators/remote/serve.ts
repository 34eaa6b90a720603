import type { Generator } from "../../core/generator.ts";
import { type ListenOptions, type Served, serveJson } from "../../http/json-server.ts";
import { RemoteFailure } from "./failure.ts";
import { PREFIX, PROTOCOL } from "./protocol.ts";
import { asFailure, DEFAULT_LIMITS, ServeCalls, type ServeLimits } from "./serve-calls.ts";

export interface ServeOptions extends ListenOptions {
  readonly limits?: Partial<ServeLimits>;
}

/** A generator that can be reached over HTTP. */
export type ServedGenerator = Served;

/**
 * Serves a generator to searches on this or other machines (`docs/remote-sampler.md`). The caller goes on owning the
 * generator. Disposing finishes requests under way, and closes everything else.
 *
 * @throws TtsVarError CONFIG_INVALID for an open address without a token, or a weak token; USAGE if the port is taken
 */
export function serveOverHttp(generator: Generator, options: ServeOptions = {}): Promise<ServedGenerator> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const calls = new ServeCalls(generator, limits);
  return serveJson(
    {
      tokenVariable: "TTSVAR_SAMPLER_TOKEN",
      requestBytes: limits.requestBytes,
      async answer(method, path, body) {
        if (method === "GET" && path === `${PREFIX}info`) return calls.info;
        if (method !== "POST" || !path.startsWith(PREFIX)) {
          throw new RemoteFailure(
            "unknown-method",
            `${method} ${path.slice(0, 80)} is not served; this server speaks ${PROTOCOL}: GET ${PREFIX}info and POST ` +
              `${PREFIX}CALL`,
          );
        }
        return calls.call(path.slice(PREFIX.length), await body());
      },
      asFailure,
      close: () => calls.close(),
    },
    options,
  );
}
