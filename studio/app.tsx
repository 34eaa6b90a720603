import { useEffect, useState } from "preact/hooks";
import type { Field, Request } from "../src/studio/api-types.ts";
import { type Connection, get, go, usePulse, useRoute, useRuns } from "./client.ts";
import { Comparison } from "./comparison.tsx";
import { History } from "./history.tsx";
import { Run } from "./run.tsx";
import { SearchForm } from "./search-form.tsx";

/** The whole page: the form and the runs at one side, what was chosen at the other. */
export function App() {
  const { pulse, connection } = usePulse();
  const [fields, setFields] = useState<readonly Field[] | null>(null);
  /** What the form was filled with from outside, if it was. */
  const [draft, setDraft] = useState<Request | null>(null);
  const runs = useRuns(pulse?.changes);
  const [place, first, second] = useRoute();
  useEffect(() => {
    if (connection === "open")
      get<{ fields: Field[] }>("form").then(
        (form) => setFields(form.fields),
        () => undefined,
      );
  }, [connection]);
  const takeUp = (request: Request): void => {
    setDraft({ ...request });
    document.getElementById("form")?.scrollIntoView({ block: "start" });
  };
  const shown = place === "run" || place === "compare" ? [first, second] : [];
  return (
    <>
      <header class="top">
        <h1>
          <a href="#/">tts-var studio</a>
        </h1>
        <Notice connection={connection} />
      </header>
      <div class={`columns ${shown.length > 0 ? "shown" : ""}`}>
        <div class="side">
          {fields && (
            <SearchForm
              key={JSON.stringify(draft)}
              fields={fields}
              draft={draft}
              onReset={() => setDraft(null)}
            />
          )}
          <History runs={runs} running={pulse?.running ?? null} shown={shown} />
        </div>
        <main>
          {place === "run" && first !== undefined ? (
            <Run key={first} id={first} pulse={pulse} runs={runs} onTakeUp={takeUp} />
          ) : place === "compare" && first !== undefined && second !== undefined ? (
            <Comparison ids={[first, second]} pulse={pulse} onTakeUp={takeUp} />
          ) : (
            <Welcome running={pulse?.running?.id} />
          )}
        </main>
      </div>
    </>
  );
}

function Notice({ connection }: { connection: Connection }) {
  const text = {
    open: "",
    lost: "The studio does not answer. Is it still running?",
    shut: "This browser may not use the studio. Open the address that it printed, with its token.",
  }[connection];
  return (
    <p class="notice" role="status">
      {text}
    </p>
  );
}

function Welcome({ running }: { running: string | undefined }) {
  return (
    <section class="card">
      <h2>See a search think</h2>
      <p>
        Describe a picture and press <em>Search</em>. The generator draws many candidates at once, stage by
        stage; after each stage the strategy looks at previews and decides which live, die or are copied.
        Every candidate can be looked at, and taken up again from any stage.
      </p>
      <p>
        Or let two strategies spend the same on the same seed: <em>Best-of-n beside it</em>.
      </p>
      {running !== undefined && (
        <p>
          <button type="button" onClick={() => go("run", running)}>
            Watch the search that runs
          </button>
        </p>
      )}
    </section>
  );
}
