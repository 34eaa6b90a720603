import { totalmem } from "node:os";

const UNITS = ["", "K", "M", "G", "T"];

/** Share of the machine's memory that a generator may take unless configured; rewards and the system need some too. */
const DEFAULT_SHARE = 0.9;

/** Bytes of `maxMemory`, which the schema has checked; by default from this machine or the limit of its container. */
export function memoryLimit(maxMemory?: string): number {
  const match = /^(\d*\.?\d+) ?([KMGT]?)(i?)B?$/i.exec(maxMemory ?? "");
  if (!match) return Math.floor(DEFAULT_SHARE * machineMemory());
  const [, number = "", unit = "", binary = ""] = match;
  return Math.floor(Number(number) * (binary ? 1024 : 1000) ** UNITS.indexOf(unit.toUpperCase()));
}

function machineMemory(): number {
  // Without a limit of its own, a container reports none or an absurd number.
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(totalmem(), constrained) : totalmem();
}
