import { TtsVarError } from "../core/errors.ts";

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
 * Parses `redis://[user:password@]host[:port][/db]` (or `rediss://` for TLS).
 *
 * @throws USAGE
 */
export function parseRedisUrl(text: string): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : null;
  const db = url?.pathname.replace(/^\//, "") ?? "";
  if (!url || !/^rediss?:$/.test(url.protocol) || url.hostname === "" || !/^\d*$/.test(db)) {
    throw new TtsVarError(
      "USAGE",
      `--queue ${text}: must look like redis://host:6379 (or rediss:// for TLS)`,
    );
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 6379 : Number(url.port),
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
    ...(db === "" ? {} : { db: Number(db) }),
    ...(url.protocol === "rediss:" ? { tls: {} } : {}),
  };
}
