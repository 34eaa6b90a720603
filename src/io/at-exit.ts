type Cleanup = () => void;

const cleanups = new Set<Cleanup>();
let listening = false;

/**
 * Has `cleanup` run when the program exits in the middle of things (after an interrupt, say). It must be synchronous.
 * Returns the function that withdraws it again.
 */
export function atExit(cleanup: Cleanup): () => void {
  cleanups.add(cleanup);
  if (!listening) process.on("exit", cleanAll);
  listening = true;
  return () => cleanups.delete(cleanup);
}

function cleanAll(): void {
  for (const cleanup of cleanups) {
    try {
      cleanup();
    } catch {
      // The program ends; the others still have their turn.
    }
  }
  cleanups.clear();
}
