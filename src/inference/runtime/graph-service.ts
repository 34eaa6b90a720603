import { type Feeds, openOrtSession } from "./ort-session.ts";
import { moved, type Service } from "./worker/protocol.ts";

export type GraphMethods = {
  describe(): Promise<{ readonly inputs: readonly string[]; readonly outputs: readonly string[] }>;
  run(
    feeds: Feeds,
    fetches: readonly string[],
  ): ReturnType<Awaited<ReturnType<typeof openOrtSession>>["run"]>;
};

/** Runs inside the inference worker: one ONNX graph as a service. */
export async function openService(options: { readonly file: string }): Promise<Service<GraphMethods>> {
  const session = await openOrtSession(options.file);
  return {
    methods: {
      describe: async () => ({ inputs: session.inputs, outputs: session.outputs }),
      async run(feeds, fetches) {
        const results = await session.run(feeds, fetches);
        return moved(
          results,
          Object.values(results).map((tensor) => tensor.data),
        );
      },
    },
    close: async () => session[Symbol.asyncDispose](),
  };
}
