/** Service module of the canvas families: loaded inside an inference worker. */
import type { GeneratorHost } from "../../core/generator.ts";
import type { Service } from "../../inference/runtime/worker/protocol.ts";
import { generatorOfFolder } from "../index.ts";
import { type SessionMethods, serveGenerator } from "../remote/session-calls.ts";

export interface CanvasServiceOptions {
  readonly dir: string;
  readonly host: GeneratorHost;
}

export async function openService({ dir, host }: CanvasServiceOptions): Promise<Service<SessionMethods>> {
  const definition = await generatorOfFolder(dir);
  return serveGenerator(await definition.open({}, { ...host, inProcess: true }));
}
