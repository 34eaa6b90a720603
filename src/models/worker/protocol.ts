import { type ErrorCode, TtsVarError } from "../../core/errors.ts";

/** A service's functions. Arguments and results must survive structured cloning. */
// biome-ignore lint/suspicious/noExplicitAny: the bound of a function type; concrete services are fully typed.
export type Methods = Record<string, (...args: any[]) => Promise<unknown>>;

/** What a service module exports as `openService`; it runs inside the worker. */
export interface Service<M extends Methods = Methods> {
  readonly methods: M;
  close(): Promise<void>;
}

export type Request =
  | { readonly id: number; readonly type: "open"; readonly module: string; readonly options: unknown }
  | {
      readonly id: number;
      readonly type: "call";
      readonly service: number;
      readonly method: string;
      readonly args: readonly unknown[];
    }
  | { readonly id: number; readonly type: "close"; readonly service: number };

export type Response =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: WireError };

/** An error on its way between threads; coded errors arrive as what they were. */
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

/** A result whose buffers move to the other thread instead of being copied; the sender loses them. */
export class Moved {
  readonly value: unknown;
  readonly buffers: readonly ArrayBuffer[];

  constructor(value: unknown, buffers: readonly ArrayBuffer[]) {
    this.value = value;
    this.buffers = buffers;
  }
}

/** Marks the buffers of freshly made arrays for moving. To the caller the type stays that of `value`. */
export function moved<T>(value: T, arrays: readonly ArrayBufferView[]): T {
  const buffers = arrays.flatMap(({ buffer, byteLength }) =>
    buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [],
  );
  return new Moved(value, buffers) as unknown as T;
}
