import { useEffect, useRef } from "preact/hooks";
import type {
  CandidateView,
  Region,
  Rejection,
  Request,
  RunView,
  StageView,
} from "../src/studio/api-types.ts";
import { RegionPicker } from "./region.tsx";
import { describe, pictureOf } from "./stages.tsx";

/** A candidate after a stage, as it was chosen. */
export interface Choice {
  readonly stage: StageView;
  readonly candidate: CandidateView;
}

interface Props {
  /** Asks for the search again, without the candidate. */
  onReject(rejection: Rejection): void;
  readonly run: RunView;
  readonly choice: Choice;
  onTakeUp(request: Request): void;
  onClose(): void;
}

/** A candidate at close range, and what can be done with it. */
export function CandidateDialog({ run, choice, onTakeUp, onReject, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  // The run goes on while it is looked at.
  const stage = run.stages[choice.stage.stage] ?? choice.stage;
  const candidate = stage.candidates.find(({ id }) => id === choice.candidate.id) ?? choice.candidate;
  const picture = pictureOf(run, stage, candidate);
  // While a search runs, its candidates are written down when they are asked for.
  const kept = run.state === "running" || run.files.includes(`tokens/${candidate.id}.json`);
  const pin = (): void => {
    onTakeUp({
      settings: run.settings,
      from: { run: run.id, candidate: candidate.id, stages: stage.stage + 1 },
    });
    dialog.current?.close();
  };
  const redraw = (region: Region): void => {
    onTakeUp({ settings: run.settings, redraw: { run: run.id, candidate: candidate.id, region } });
    dialog.current?.close();
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="candidate">
      <h3 id="candidate">
        {candidate.id} after stage {stage.stage + 1}
      </h3>
      {picture !== null && <img src={picture} alt={`${candidate.id} after stage ${stage.stage + 1}`} />}
      <p>{describe(candidate)}</p>
      {run.redraws &&
        run.files.includes(`images/${candidate.id}.png`) &&
        stage.stage === run.stages.length - 1 && <RegionPicker picture={picture ?? ""} onChoose={redraw} />}
      <div class="buttons">
        {kept && (
          <button type="button" class="main" onClick={pin}>
            Go on from here
          </button>
        )}
        <button
          type="button"
          onClick={() => {
            onReject({ candidate: candidate.id, stage: stage.stage });
            dialog.current?.close();
          }}
        >
          Search again without it
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}
