import { setTimeout as sleep } from "node:timers/promises";
import type { BackendFactory, ConnectionOptions, RedisQueueBackend } from "bullmq";
import { TtsVarError } from "../core/errors.ts";
import { parseQueueUrl, type QueueAddress } from "./queue-address.ts";

type Bullmq = typeof import("bullmq");

/** BullMQ, and how its classes reach the server that a URL names. */
export interface QueueServer {
  readonly bullmq: Bullmq;
  readonly label: string;
  readonly connection: ConnectionOptions;
  /** Given to every queue and worker. BullMQ's types name Redis; the classes use nothing but the common interface. */
  readonly backend: BackendFactory<RedisQueueBackend>;
}

export interface OpenQueueOptions {
  /** Seconds to wait for a server that is not there yet. */
  readonly patienceSeconds: number;
  readonly signal?: AbortSignal;
  onTrouble?(error: Error): void;
}

/**
 * Reaches the server of a queue. Redis is connected to when it is first asked, however long that takes; PostgreSQL has
 * to be there, and gets BullMQ's tables if it has none.
 *
 * @throws USAGE for a bad URL, missing packages or a database that refuses; EVAL_PARTIAL when it does not answer
 */
export async function openQueueServer(url: string, options: OpenQueueOptions): Promise<QueueServer> {
  const address = parseQueueUrl(url);
  const bullmq = await loadBullmq(address.kind);
  if (address.kind === "redis") {
    const { label, redis } = address;
    // Commands wait for a lost server to come back instead of failing; how long is the caller's decision.
    const retryStrategy = (attempt: number): number => Math.min(100 * attempt, 1000);
    const connection = { ...redis, maxRetriesPerRequest: null, retryStrategy };
    return { bullmq, label, connection, backend: bullmq.createRedisBackend };
  }
  await layTables(bullmq, address, options);
  const settings = postgresSettings(address.url);
  const backend = (...[name, queue, more]: Parameters<typeof bullmq.createRedisBackend>) =>
    bullmq.createPostgresBackend(
      name,
      { ...queue, connection: settings },
      more,
    ) as unknown as RedisQueueBackend;
  return { bullmq, label: address.label, connection: {}, backend };
}

const postgresSettings = (url: string) => ({ connectionString: url, connectionTimeoutMillis: 5000, max: 4 });

/** Names of the optional packages that a kind of server needs. */
const drivers = { redis: "ioredis", postgres: "pg" } as const;

async function loadBullmq(kind: QueueAddress["kind"]): Promise<Bullmq> {
  try {
    import.meta.resolve(drivers[kind]);
    return await import("bullmq");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new TtsVarError(
      "USAGE",
      `--queue needs two optional packages; install them with: npm install bullmq ${drivers[kind]}`,
      { cause: error },
    );
  }
}

async function layTables(
  { PostgresConnection }: Bullmq,
  { label, url }: QueueAddress & { kind: "postgres" },
  { patienceSeconds, signal, onTrouble }: OpenQueueOptions,
): Promise<void> {
  const end = performance.now() + patienceSeconds * 1000;
  for (;;) {
    signal?.throwIfAborted();
    const connection = new PostgresConnection({ ...postgresSettings(url), migrate: true });
    try {
      return await connection.waitUntilReady();
    } catch (error) {
      const { message } = error as Error;
      if (!isLostConnection(error)) {
        throw new TtsVarError("USAGE", `--queue: ${label} refuses: ${message}`, { cause: error });
      }
      onTrouble?.(new Error(`${label}: ${message || "no connection"}`));
      if (performance.now() > end) {
        throw new TtsVarError(
          "EVAL_PARTIAL",
          `${label} has not answered for ${patienceSeconds} s; start it and run the same command again`,
          { cause: error },
        );
      }
    } finally {
      await connection.close().catch(() => undefined);
    }
    await sleep(1000, undefined, signal ? { signal } : {}).catch(() => undefined);
  }
}

/** Whether an error of PostgreSQL tells of a server that is away, starting or full, rather than of a request it refuses. */
export function isLostConnection(error: unknown): error is Error {
  const { code, message } = error as { code?: unknown; message: string };
  return typeof code === "string"
    ? /^(E[A-Z]+|08\w+|57P0\d|53300)$/.test(code)
    : /terminated|timeout|not queryable/i.test(message);
}
