import { TtsVarError } from "../core/errors.ts";

/** Where the queue is kept. `label` names it in messages, without password. */
export type QueueAddress =
  | { readonly kind: "redis"; readonly label: string; readonly redis: RedisAddress }
  | { readonly kind: "postgres"; readonly label: string; readonly url: string };

/** Connection settings as ioredis takes them. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly tls?: Record<string, never>;
}

/**
 * Parses `redis://[user:password@]host[:port][/db]` (or `rediss://` for TLS) and
 * `postgres://[user[:password]@]host[:port][/database][?options]` (or `postgresql://`).
 *
 * @throws USAGE
 */
export function parseQueueUrl(text: string): QueueAddress {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && url.hostname !== "") {
    if (/^rediss?:$/.test(url.protocol) && /^\/?\d*$/.test(url.pathname)) return redisAddress(url);
    if (/^postgres(ql)?:$/.test(url.protocol)) {
      const label = `PostgreSQL at ${url.hostname}:${url.port || 5432}${url.pathname.replace(/\/$/, "")}`;
      return { kind: "postgres", label, url: text };
    }
  }
  throw new TtsVarError(
    "USAGE",
    `--queue ${text}: must look like redis://host:6379 (rediss:// for TLS) or postgres://user@host:5432/database`,
  );
}

function redisAddress(url: URL): QueueAddress {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? 6379 : Number(url.port);
  const db = url.pathname.replace(/^\//, "");
  return {
    kind: "redis",
    label: `Redis at ${host}:${port}`,
    redis: {
      host,
      port,
      ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
      ...(db === "" ? {} : { db: Number(db) }),
      ...(url.protocol === "rediss:" ? { tls: {} } : {}),
    },
  };
}
