/** Service module of the generator: loaded inside an inference worker. */
import type { Service } from "../../../inference/runtime/worker/protocol.ts";
import { type GeneratorMethods, serveGenerator } from "../../remote/session-calls.ts";
import { type InfinityOptions, loadInfinity } from "./open.ts";

export interface InfinityServiceOptions extends InfinityOptions {
  readonly dir: string;
}

export async function openService({
  dir,
  ...options
}: InfinityServiceOptions): Promise<Service<GeneratorMethods>> {
  return serveGenerator(await loadInfinity(dir, options));
}
