import type { RunSummary, RunView } from "../src/studio/api-types.ts";
import { STATE_WORDS, score, shorten, time } from "./words.ts";

interface Props {
  readonly runs: readonly RunSummary[];
  readonly running: RunView | null;
  readonly shown: readonly (string | undefined)[];
}

/** All searches of the runs folder, the newest first. */
export function History({ runs, running, shown }: Props) {
  return (
    <nav class="card" aria-label="Runs">
      <h2>Runs</h2>
      {runs.length === 0 && <p>None yet.</p>}
      <ol class="runs">
        {runs.map((run) => {
          const {
            id,
            state,
            score: value,
            spent,
            budget,
            strategy,
            seed,
            startedAt,
          } = run.id === running?.id ? running : run;
          return (
            <li key={id}>
              <a
                href={`#/run/${encodeURIComponent(id)}`}
                aria-current={shown.includes(id) ? "page" : undefined}
              >
                <bdi class="prompt">{shorten(run.prompt)}</bdi>
                <span class="facts">
                  <span class={`state ${state}`}>{STATE_WORDS[state]}</span>
                  <span>{strategy}</span>
                  <span>seed {seed}</span>
                  <span>
                    {state === "running"
                      ? `${Math.round((100 * spent) / budget)} %`
                      : value === null
                        ? ""
                        : score(value)}
                  </span>
                  <span>{time(startedAt)}</span>
                </span>
              </a>
            </li>
          );
        })}
      </ol>
    </nav>
  );
}
