/** Service module of a pair of generators: loaded inside an inference worker. */
import type { GeneratorRequest } from "../../../core/generator.ts";
import type { Service } from "../../../inference/runtime/worker/protocol.ts";
import { type SessionMethods, serveGenerator } from "../../remote/session-calls.ts";
import type { InfinityOptions } from "../infinity/open.ts";
import { loadPair } from "./open.ts";

export interface PairServiceOptions {
  readonly request: GeneratorRequest;
  readonly options: InfinityOptions;
}

export async function openService({
  request,
  options,
}: PairServiceOptions): Promise<Service<SessionMethods>> {
  return serveGenerator(await loadPair(request, options));
}
