import { basename, extname } from "node:path";

/**
 * Where in a plug-in's own file an error arose, as ` (my-reward.mjs:3:11)`; empty if the stack does not say, or for
 * TypeScript, of which only a transpiled text is known.
 */
export function placeOf(error: unknown, path: string): string {
  const stack = error instanceof Error ? error.stack : undefined;
  if (stack === undefined || !/^\.[mc]?js$/.test(extname(path))) return "";
  for (const line of stack.split("\n")) {
    const at = line.indexOf(path);
    const position = at < 0 ? null : /^:\d+:\d+/.exec(line.slice(at + path.length));
    if (position) return ` (${basename(path)}${position[0]})`;
  }
  return "";
}
