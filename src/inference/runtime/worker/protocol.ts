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
  | { readonly id: number; readonly type: "close"; readonly service: number }
  /** Loads the runtime and the module of a service that will soon be opened. */
  | { readonly id: number; readonly type: "warm"; readonly module: string }
  /** Ends the thread as soon as it computes nothing; there is no answer. */
  | { readonly id: number; readonly type: "quit" };

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
