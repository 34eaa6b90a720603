import type { CandidateView, Fate, RunView, StageView } from "../src/studio/api-types.ts";
import type { Choice } from "./candidate.tsx";
import { score } from "./words.ts";

const FATES: Readonly<Record<Fate, { sign: string; word: string }>> = {
  alive: { sign: "", word: "undecided" },
  kept: { sign: "✓", word: "kept" },
  dropped: { sign: "✕", word: "dropped" },
  best: { sign: "★", word: "the answer" },
};
/** Clusters beyond these share their colours; their numbers differ. */
const COLOURS = 8;

/** All candidates of a search, stage by stage, copies beside their parents. */
export function Stages({ run, onChoose }: { run: RunView; onChoose(choice: Choice): void }) {
  return (
    <ol class="stages" aria-label="Candidates by stage">
      {run.stages.map((stage) => (
        <li key={stage.stage}>
          <h3>
            Stage {stage.stage + 1}{" "}
            <span>
              {stage.label}
              {stage.hidden > 0 && `, ${stage.hidden} more candidates not shown`}
            </span>
          </h3>
          <ul
            class={
              stage.candidates.some((candidate) => pictureOf(run, stage, candidate) !== null) ? "" : "blind"
            }
          >
            {stage.candidates.map((candidate) => (
              <li key={candidate.id}>
                <Tile run={run} stage={stage} candidate={candidate} onChoose={onChoose} />
              </li>
            ))}
          </ul>
        </li>
      ))}
    </ol>
  );
}

function Tile({
  run,
  stage,
  candidate,
  onChoose,
}: Choice & { run: RunView; onChoose(choice: Choice): void }) {
  const { id, fate, cluster } = candidate;
  const picture = pictureOf(run, stage, candidate);
  return (
    <button type="button" class={`tile ${fate}`} onClick={() => onChoose({ stage, candidate })}>
      {picture === null ? <span class="blank">not looked at</span> : <img src={picture} alt="" />}
      <span class="caption">
        <span class="name">
          <span aria-hidden="true">{FATES[fate].sign}</span> {id}
        </span>
        {cluster !== null && (
          <span class={`cluster c${cluster % COLOURS}`}>
            <span class="unseen">cluster </span>
            {cluster}
          </span>
        )}
      </span>
      <span class="value">{candidate.score === null ? "" : score(candidate.score)}</span>
      <span class="unseen">{FATES[fate].word}</span>
    </button>
  );
}

/** A candidate in words. */
export function describe({ id, parent, score: value, cluster, weight, fate }: CandidateView): string {
  return [
    id,
    ...(parent === null ? [] : [`copy of ${parent}`]),
    FATES[fate].word,
    ...(value === null ? [] : [`score ${score(value)}`]),
    ...(cluster === null ? [] : [`cluster ${cluster}`]),
    ...(weight === null ? [] : [`weight ${(100 * weight).toFixed(1)} %`]),
  ].join(", ");
}

/** Address of a candidate's picture after a stage; null when nobody looked. */
export function pictureOf(run: RunView, { stage }: StageView, { id, picture }: CandidateView): string | null {
  const base = `/api/runs/${encodeURIComponent(run.id)}`;
  if (picture !== null) return `${base}/pictures/${stage}/${id}?w=${picture}`;
  return stage === run.stages.length - 1 ? finalPicture(run, id) : null;
}

/** Address of a finished candidate's picture. */
export function finalPicture(run: RunView, id: string): string | null {
  const name = `images/${id}.png`;
  if (run.files.includes(name)) return `/api/runs/${encodeURIComponent(run.id)}/files/${name}`;
  const last = run.stages.at(-1);
  const width = last?.candidates.find((candidate) => candidate.id === id)?.picture ?? null;
  return width === null
    ? null
    : `/api/runs/${encodeURIComponent(run.id)}/pictures/${last!.stage}/${id}?w=${width}`;
}
