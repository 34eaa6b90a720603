/** Service module of the generator: loaded inside an inference worker. */
import type { GeneratorRequest } from "../../../core/generator.ts";
import type { Service } from "../../../inference/runtime/worker/protocol.ts";
import { type SessionMethods, serveGenerator } from "../../remote/session-calls.ts";
import { type JanusOptions, loadJanus } from "./open.ts";

export interface JanusServiceOptions {
  readonly dir: string;
  readonly request: GeneratorRequest;
  readonly options: JanusOptions;
}

export async function openService({
  dir,
  request,
  options,
}: JanusServiceOptions): Promise<Service<SessionMethods>> {
  return serveGenerator(await loadJanus(dir, request, options));
}
