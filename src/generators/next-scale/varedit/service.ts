/** Service module of a generator: loaded inside an inference worker. */
import type { GeneratorHost, GeneratorRequest } from "../../../core/generator.ts";
import type { Service } from "../../../inference/runtime/worker/protocol.ts";
import { type SessionMethods, serveGenerator } from "../../remote/session-calls.ts";
import { loadEditor } from "./open.ts";

export interface EditorServiceOptions {
  readonly dir: string;
  readonly request: GeneratorRequest;
  readonly options: Pick<GeneratorHost, "threads" | "rowsAtOnce">;
}

export async function openService({
  dir,
  request,
  options,
}: EditorServiceOptions): Promise<Service<SessionMethods>> {
  return serveGenerator(await loadEditor(dir, request, options));
}
