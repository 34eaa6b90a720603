import { useEffect, useState } from "preact/hooks";
import type { Field, PlanAnswer, Request, Settings } from "../src/studio/api-types.ts";
import { errorText, go, post, startRun } from "./client.ts";
import { labelOf, megabytes, units } from "./words.ts";

/** How long the form rests before its cost is asked for, in milliseconds. */
const REST_MS = 350;
/** The plain strategy that others have to beat. */
const BASELINE = "best-of-n";

interface Props {
  readonly fields: readonly Field[];
  readonly draft: Request | null;
  onReset(): void;
}

/** The settings of a search, what it would cost, and the buttons that start it. */
export function SearchForm({ fields, draft, onReset }: Props) {
  const [values, setValues] = useState<Readonly<Record<string, string>>>(() =>
    startValues(fields, draft?.settings),
  );
  const [error, setError] = useState<string | null>(null);
  const from = draft?.from;
  const reject = draft?.reject;
  const redraw = draft?.redraw;
  const request: Request = { settings: settingsOf(fields, values), from, reject, redraw };
  const { plan, problem } = usePlan(request);
  const set = (path: string, value: string): void => setValues({ ...values, [path]: value });
  const start = async (requests: readonly Request[]): Promise<void> => {
    setError(null);
    try {
      const ids: string[] = [];
      for (const each of requests) ids.push((await startRun(each)).id);
      go(...(ids.length === 1 ? ["run", ids[0]!] : ["compare", ...ids]));
    } catch (failure) {
      setError(errorText(failure));
    }
  };
  const beside = (): Promise<void> => {
    const other =
      request.settings["strategy.name"] === BASELINE ? "tts-var" : request.settings["strategy.name"]!;
    const named = (name: string | number): Request => ({
      ...request,
      settings: { ...request.settings, "strategy.name": name },
    });
    return start([named(BASELINE), named(other)]);
  };
  const [prompt, ...others] = fields;
  return (
    <form
      id="form"
      class="card"
      onSubmit={(event) => {
        event.preventDefault();
        void start([request]);
      }}
    >
      <h2>New search</h2>
      {reject && (
        <p class="from">
          Without {reject.map(({ candidate, stage }) => `${candidate} from stage ${stage + 1} on`).join(", ")}
          .
        </p>
      )}
      {from && (
        <p class="from">
          Goes on from <strong>{from.candidate}</strong>, with its first{" "}
          {from.stages === 1 ? "stage" : `${from.stages} stages`} kept.
        </p>
      )}
      {redraw && (
        <p class="from">
          Redraws a region of <strong>{redraw.candidate}</strong>.
        </p>
      )}
      {(from || reject || redraw) && (
        <p>
          <button type="button" class="quiet" onClick={onReset}>
            Start afresh
          </button>
        </p>
      )}
      <Input field={prompt!} value={values[prompt!.path]!} onInput={set} />
      <div class="fields">
        {others.map((field) => (
          <Input key={field.path} field={field} value={values[field.path]!} onInput={set} />
        ))}
      </div>
      <PlanBox plan={plan} problem={problem} />
      <p class="buttons">
        <button type="submit" class="main" disabled={!plan}>
          Search
        </button>
        <button
          type="button"
          disabled={!plan}
          onClick={beside}
          title="Two searches at equal cost on the same seed"
        >
          Best-of-n beside it
        </button>
      </p>
      <p class="error" role="alert">
        {error}
      </p>
    </form>
  );
}

function Input({
  field,
  value,
  onInput,
}: {
  field: Field;
  value: string;
  onInput(path: string, value: string): void;
}) {
  const { path, kind, help, least, most, choices } = field;
  const id = `field-${path.replace(".", "-")}`;
  const common = {
    id,
    value,
    "aria-describedby": `${id}-help`,
    onInput: (event: { currentTarget: { value: string } }) => onInput(path, event.currentTarget.value),
  };
  const chosen = choices?.find(({ name }) => name === value);
  return (
    <div class={`field ${path === "task.prompt" ? "wide" : ""}`}>
      <label for={id}>{labelOf(path)}</label>
      {choices ? (
        <select {...common}>
          {choices.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      ) : kind === "text" ? (
        <textarea {...common} rows={path === "task.prompt" ? 3 : 1} dir="auto" spellcheck={false} />
      ) : (
        <input {...common} type="number" min={least} max={most} step={kind === "whole" ? 1 : "any"} />
      )}
      <small id={`${id}-help`}>{chosen?.summary ?? help}</small>
    </div>
  );
}

function PlanBox({ plan, problem }: { plan: PlanAnswer | null; problem: string | null }) {
  if (problem !== null) {
    return (
      <p class="error" role="status">
        {problem}
      </p>
    );
  }
  if (!plan) return <p class="plan">Describe a picture to see what the search would cost.</p>;
  const { image, memory, rows, total } = plan;
  return (
    <div class="plan" role="status">
      <p>
        Costs at most <strong>{units(total)}</strong> of {plan.units} units: {rows[0]?.widthIn} candidates at
        first, {rows.at(-1)?.widthOut} at last, {image.width} × {image.height} pixels
        {image.frames > 1 ? `, ${image.frames} frames` : ""}
        {memory === null ? "" : `, ${megabytes(memory)} of memory`}.
      </p>
      {plan.warnings.map((warning) => (
        <p key={warning} class="warning">
          {warning}
        </p>
      ))}
      <details>
        <summary>By stage</summary>
        <table>
          <thead>
            <tr>
              {["stage", "in", "out", "views", "scores", "units"].map((title) => (
                <th key={title} scope="col">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.label}>
                <th scope="row">{row.label}</th>
                <td>{row.widthIn}</td>
                <td>{row.widthOut}</td>
                <td>{row.decodes}</td>
                <td>{row.scores}</td>
                <td>{units(row.cost / plan.unit)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </div>
  );
}

/** The cost of a request, once the form has rested; null while there is none. */
function usePlan(request: Request): { plan: PlanAnswer | null; problem: string | null } {
  const [answer, setAnswer] = useState<{ plan: PlanAnswer | null; problem: string | null }>({
    plan: null,
    problem: null,
  });
  const text = JSON.stringify(request);
  useEffect(() => {
    if (String(request.settings["task.prompt"] ?? "").trim() === "") {
      setAnswer({ plan: null, problem: null });
      return;
    }
    let wanted = true;
    const timer = setTimeout(() => {
      post<PlanAnswer>("plan", request).then(
        (plan) => wanted && setAnswer({ plan, problem: null }),
        (failure: unknown) => wanted && setAnswer({ plan: null, problem: errorText(failure) }),
      );
    }, REST_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [text]);
  return answer;
}

function startValues(fields: readonly Field[], settings: Settings | undefined): Record<string, string> {
  return Object.fromEntries(fields.map(({ path, value }) => [path, String(settings?.[path] ?? value ?? "")]));
}

/** What the form says; fields that are empty keep their default. */
function settingsOf(fields: readonly Field[], values: Readonly<Record<string, string>>): Settings {
  return Object.fromEntries(
    fields.flatMap(({ path, kind }): [string, string | number][] => {
      const value = values[path]!;
      if (value === "") return [];
      return [[path, kind === "number" || kind === "whole" ? Number(value) : value]];
    }),
  );
}
