import { type Feeds, type OrtSession, openOrtSession } from "./ort-session.ts";
import { Shared } from "./shared.ts";
import { moved, type Service } from "./worker/protocol.ts";

export interface GraphServiceOptions {
  readonly file: string;
  readonly threads?: number;
}

export type GraphMethods = {
  describe(): Promise<{ readonly inputs: readonly string[]; readonly outputs: readonly string[] }>;
  run(feeds: Feeds, fetches: readonly string[]): ReturnType<OrtSession["run"]>;
};

/** One session a graph, however many parts of a search (reward, features, judge) use it. */
const sessions = new Shared<OrtSession>();

/** Runs inside the inference worker: one ONNX graph as a service. */
export async function openService({ file, threads }: GraphServiceOptions): Promise<Service<GraphMethods>> {
  const { thing: session, leave } = await sessions.use(`${threads ?? ""} ${file}`, () =>
    openOrtSession(file, threads === undefined ? {} : { threads }),
  );
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
    close: leave,
  };
}
