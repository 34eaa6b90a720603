/** Service module of an HMAR generator: loaded inside an inference worker. */
import type { GeneratorRequest } from "../../../core/generator.ts";
import type { Service } from "../../../inference/runtime/worker/protocol.ts";
import { type SessionMethods, serveGenerator } from "../../remote/session-calls.ts";
import type { InfinityOptions } from "../infinity/open.ts";
import { loadHmar } from "./open.ts";

export interface HmarServiceOptions {
  readonly dir: string;
  readonly request: GeneratorRequest;
  readonly options: InfinityOptions;
}

export async function openService({
  dir,
  request,
  options,
}: HmarServiceOptions): Promise<Service<SessionMethods>> {
  return serveGenerator(await loadHmar(dir, request, options));
}
