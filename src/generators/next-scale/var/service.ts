/** Service module of a VAR: loaded inside an inference worker. */
import type { GeneratorHost, GeneratorRequest } from "../../../core/generator.ts";
import type { Service } from "../../../inference/runtime/worker/protocol.ts";
import { type SessionMethods, serveGenerator } from "../../remote/session-calls.ts";
import { loadVar } from "./open.ts";

export interface VarServiceOptions {
  readonly dir: string;
  readonly request: GeneratorRequest;
  readonly options: Pick<GeneratorHost, "threads" | "rowsAtOnce">;
}

export async function openService({
  dir,
  request,
  options,
}: VarServiceOptions): Promise<Service<SessionMethods>> {
  return serveGenerator(await loadVar(dir, request, options));
}
