import { useState } from "preact/hooks";
import type { Pulse, Rejection, Request, RunSummary, RunView } from "../src/studio/api-types.ts";
import { CandidateDialog, type Choice } from "./candidate.tsx";
import { cancelRun, errorText, go, requestOf, startRun, useRun } from "./client.ts";
import { finalPicture, Stages } from "./stages.tsx";
import { STATE_WORDS, score, shorten, units } from "./words.ts";

interface Props {
  readonly id: string;
  readonly pulse: Pulse | null;
  readonly runs?: readonly RunSummary[];
  onTakeUp(request: Request): void;
}

/** A run whole: how far it is, its answer, and all candidates by stage. */
export function Run({ id, pulse, runs, onTakeUp }: Props) {
  const { run, error } = useRun(id, pulse);
  const [choice, setChoice] = useState<Choice | null>(null);
  const [refusal, setRefusal] = useState<string | null>(null);
  const reject = async (rejection: Rejection): Promise<void> => {
    if (!run) return;
    try {
      const again = await startRun({ ...requestOf(run), reject: [...run.reject, rejection] });
      if (run.state === "running") await cancelRun(id).catch(() => undefined);
      go("run", again.id);
    } catch (failure) {
      setRefusal(errorText(failure));
    }
  };
  if (error !== null) {
    return (
      <p class="card error" role="alert">
        {error}
      </p>
    );
  }
  if (!run) return <p class="card">Reading the run…</p>;
  return (
    <article class="card run" aria-label={`Search ${run.strategy}`}>
      <Heading run={run} />
      <Standing run={run} />
      <Answer run={run} />
      <Actions run={run} runs={runs} onTakeUp={onTakeUp} onError={setRefusal} />
      <p class="error" role="alert">
        {refusal}
      </p>
      <Stages run={run} onChoose={setChoice} />
      {choice && (
        <CandidateDialog
          run={run}
          choice={choice}
          onTakeUp={onTakeUp}
          onReject={reject}
          onClose={() => setChoice(null)}
        />
      )}
    </article>
  );
}

function Heading({ run }: { run: RunView }) {
  const { strategy, budget, seed, model, reward, from, reject, redraw } = run;
  return (
    <header>
      <h2>
        <bdi title={shorten(run.prompt, 2000)}>{shorten(run.prompt, 200)}</bdi>
      </h2>
      <p class="facts">
        <span>{strategy}</span>
        <span>budget {budget}</span>
        <span>seed {seed}</span>
        <span>model {shorten(model, 40)}</span>
        <span>reward {shorten(reward, 40)}</span>
        {reject.map(({ candidate, stage }) => (
          <span key={`${candidate} ${stage}`}>
            without {candidate} from stage {stage + 1} on
          </span>
        ))}
        {redraw && (
          <span>
            redraws a region of <a href={`#/run/${encodeURIComponent(redraw.run)}`}>{redraw.candidate}</a>
          </span>
        )}
        {from && (
          <span>
            from{" "}
            <a href={`#/run/${encodeURIComponent(from.run)}`}>
              {from.candidate}, {from.stages} stages
            </a>
          </span>
        )}
      </p>
    </header>
  );
}

function Standing({ run }: { run: RunView }) {
  const { state, status, spent, budget, warnings, error } = run;
  const id = `spent-${run.id}`;
  return (
    <div class="standing">
      <p role="status">
        <span class={`state ${state}`}>{STATE_WORDS[state]}</span> {state === "running" && status}
      </p>
      <label for={id}>
        {units(spent)} of {budget} units spent
      </label>
      <progress id={id} value={spent} max={budget} />
      {warnings.map((warning) => (
        <p key={warning} class="warning">
          {warning}
        </p>
      ))}
      {error !== null && (
        <p class={state === "failed" ? "error" : "warning"} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

function Answer({ run }: { run: RunView }) {
  const picture = run.best === null ? null : finalPicture(run, run.best);
  if (run.best === null || picture === null) return null;
  return (
    <figure class="answer">
      <img src={picture} alt={`The answer, ${run.best}`} />
      <figcaption>
        <strong>{run.best}</strong>
        {run.score === null ? "" : `, score ${score(run.score)}`}
      </figcaption>
    </figure>
  );
}

function Actions({
  run,
  runs = [],
  onTakeUp,
  onError,
}: {
  run: RunView;
  runs: readonly RunSummary[] | undefined;
  onTakeUp(request: Request): void;
  onError(text: string): void;
}) {
  const { id, state } = run;
  const active = state === "queued" || state === "running";
  const others = runs.filter((other) => other.id !== id && other.state !== "queued");
  const cancel = (): void => {
    cancelRun(id).catch((failure: unknown) => onError(errorText(failure)));
  };
  return (
    <div class="buttons">
      {active && (
        <button type="button" onClick={cancel}>
          Cancel
        </button>
      )}
      <button type="button" onClick={() => onTakeUp(requestOf(run))}>
        Take the settings
      </button>
      {!active && (
        <>
          <a class="button" href={`/api/runs/${encodeURIComponent(id)}/run.zip`} download>
            Zip
          </a>
          <a class="button" href={`/api/runs/${encodeURIComponent(id)}/config.yaml`} download>
            YAML
          </a>
        </>
      )}
      {others.length > 0 && (
        <select
          aria-label="Compare with another run"
          value=""
          onChange={({ currentTarget: { value } }) => value !== "" && go("compare", id, value)}
        >
          <option value="">Compare with…</option>
          {others.map((other) => (
            <option key={other.id} value={other.id}>
              {other.strategy}, seed {other.seed}: {shorten(other.prompt, 40)}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}
