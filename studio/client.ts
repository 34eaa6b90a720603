import { useEffect, useState } from "preact/hooks";
import type { Pulse, Request, RunSummary, RunView } from "../src/studio/api-types.ts";

/** What the server refuses, in its words. */
export class Refusal extends Error {}

async function call<Answer>(path: string, body?: unknown): Promise<Answer> {
  const init: RequestInit =
    body === undefined
      ? {}
      : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(`/api/${path}`, init);
  if (response.status === 204) return undefined as Answer;
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as Answer;
  throw new Refusal(messageOf(text));
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return text;
  }
}

export const get = <Answer>(path: string): Promise<Answer> => call<Answer>(path);
export const post = <Answer>(path: string, body: unknown = {}): Promise<Answer> => call<Answer>(path, body);

/** Asks for a search; its state comes with the pulse. */
export const startRun = (request: Request): Promise<RunSummary> => post("runs", request);

export const cancelRun = (id: string): Promise<void> => post(`runs/${encodeURIComponent(id)}/cancel`);

/** What would repeat a run. */
export function requestOf({ settings, from, reject, redraw }: RunView): Request {
  return {
    settings,
    ...(from ? { from } : {}),
    ...(reject.length > 0 ? { reject } : {}),
    ...(redraw ? { redraw } : {}),
  };
}

export function errorText(error: unknown): string {
  if (error instanceof Refusal) return error.message;
  return "The studio does not answer. Is it still running?";
}

/** Whether the server can be reached; `shut`: it runs, but this browser may not use it (any more). */
export type Connection = "open" | "lost" | "shut";

/** How long to wait before another attempt, in milliseconds. */
const RETRY_MS = 1500;

/**
 * The server's state, as it changes. A browser allows six connections to one server in all tabs together, so tabs that
 * nobody sees let go of theirs.
 */
export function usePulse(): { pulse: Pulse | null; connection: Connection } {
  const [pulse, setPulse] = useState<Pulse | null>(null);
  const [connection, setConnection] = useState<Connection>("open");
  useEffect(() => {
    let source: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const close = (): void => {
      clearTimeout(timer);
      source?.close();
      source = null;
    };
    const open = (): void => {
      close();
      if (document.hidden) return;
      source = new EventSource("/api/events");
      source.addEventListener("open", () => setConnection("open"));
      source.addEventListener("pulse", (event) => setPulse(JSON.parse((event as MessageEvent<string>).data)));
      source.addEventListener("error", () => {
        close();
        // An event source does not tell why it failed.
        fetch("/api/form").then(
          ({ status }) => setConnection(status === 401 ? "shut" : "lost"),
          () => setConnection("lost"),
        );
        timer = setTimeout(open, RETRY_MS);
      });
    };
    open();
    document.addEventListener("visibilitychange", open);
    return () => {
      document.removeEventListener("visibilitychange", open);
      close();
    };
  }, []);
  return { pulse, connection };
}

/** All runs, read again whenever one was added, began or ended. */
export function useRuns(changes: number | undefined): readonly RunSummary[] {
  const [runs, setRuns] = useState<readonly RunSummary[]>([]);
  useEffect(() => {
    get<RunSummary[]>("runs").then(setRuns, () => undefined);
  }, [changes]);
  return runs;
}

/** A run: live while it runs, else as it was left. */
export function useRun(id: string, pulse: Pulse | null): { run: RunView | null; error: string | null } {
  const [read, setRead] = useState<{ id: string; run: RunView | null; error: string | null } | null>(null);
  const changes = pulse?.changes;
  useEffect(() => {
    let wanted = true;
    get<RunView>(`runs/${encodeURIComponent(id)}`).then(
      (run) => wanted && setRead({ id, run, error: null }),
      (error: unknown) => wanted && setRead({ id, run: null, error: errorText(error) }),
    );
    return () => {
      wanted = false;
    };
  }, [id, changes]);
  if (pulse?.running?.id === id) return { run: pulse.running, error: null };
  return read?.id === id ? read : { run: null, error: null };
}

/** The part of the address after `#/`, by its segments. */
export function useRoute(): readonly string[] {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const read = (): void => setHash(location.hash);
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  return hash
    .replace(/^#\/?/, "")
    .split("/")
    .filter((part) => part !== "")
    .map(decodeURIComponent);
}

export function go(...segments: readonly string[]): void {
  location.hash = `#/${segments.map(encodeURIComponent).join("/")}`;
}
