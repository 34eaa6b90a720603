/** Service module of the generator: loaded inside an inference worker. */
import type { GeneratorRequest } from "../../../core/generator.ts";
import type { Service } from "../../../inference/runtime/worker/protocol.ts";
import { type SessionMethods, serveGenerator } from "../../remote/session-calls.ts";
import { type InfinityOptions, loadInfinity } from "./open.ts";

export interface InfinityServiceOptions {
  readonly dir: string;
  readonly request: GeneratorRequest;
  readonly options: InfinityOptions;
}

export async function openService({
  dir,
  request,
  options,
}: InfinityServiceOptions): Promise<Service<SessionMethods>> {
  return serveGenerator(await loadInfinity(dir, request, options));
}
