import { type ErrorCode, TtsVarError } from "./errors.ts";

/** An error on its way between threads or processes, as plain data; coded errors arrive as what they were. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly code: ErrorCode | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export function toWire(error: unknown): WireError {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const coded = error instanceof TtsVarError ? error : null;
  return { name, message, stack: stack ?? "", code: coded?.code ?? null, details: coded?.details ?? {} };
}

export function fromWire(wire: WireError): Error {
  const error = wire.code
    ? new TtsVarError(wire.code, wire.message, { details: wire.details })
    : Object.assign(new Error(wire.message), { name: wire.name });
  error.stack = wire.stack;
  return error;
}
