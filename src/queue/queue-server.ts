import { setTimeout as sleep } from "node:timers/promises";
import type { BackendFactory, ConnectionOptions, PostgresConnection, RedisQueueBackend } from "bullmq";
import { TtsVarError } from "../core/errors.ts";
import { parseQueueUrl, type QueueAddress } from "./queue-address.ts";

type Bullmq = typeof import("bullmq");

/** BullMQ, and how its classes reach the server that a URL names. */
export interface QueueServer {
  readonly bullmq: Bullmq;
  readonly label: string;
  readonly connection: ConnectionOptions;
  /**
   * What one queue or worker gets as its backend; each needs its own. BullMQ's types name Redis; the classes use nothing
   * but the common interface.
   *
   * @throws USAGE for a database that refuses; EVAL_PARTIAL when it does not answer
   */
  connect(): Promise<BackendFactory<RedisQueueBackend>>;
}

export interface OpenQueueOptions {
  /** Seconds to wait for a server that is not there yet. */
  readonly patienceSeconds: number;
  readonly signal?: AbortSignal;
  onTrouble?(error: Error): void;
}

/**
 * Finds out how the server of a queue is reached. Redis is connected to when it is first asked, however long that takes;
 * PostgreSQL has to be there when a queue or worker is made, and gets BullMQ's tables if it has none.
 *
 * @throws USAGE for a bad URL or missing packages
 */
export async function openQueueServer(url: string, options: OpenQueueOptions): Promise<QueueServer> {
  const address = parseQueueUrl(url);
  const bullmq = await loadBullmq(address.kind);
  if (address.kind === "redis") {
    const { label, redis } = address;
    // Commands wait for a lost server to come back instead of failing; how long is the caller's decision.
    const retryStrategy = (attempt: number): number => Math.min(100 * attempt, 1000);
    const connection = { ...redis, maxRetriesPerRequest: null, retryStrategy };
    return { bullmq, label, connection, connect: async () => bullmq.createRedisBackend };
  }
  const { label } = address;
  const connect = async () => postgresBackend(bullmq, await openPostgres(bullmq, address, options));
  return { bullmq, label, connection: {}, connect };
}

/** As BullMQ's `createPostgresBackend`, for a connection that is open; named as there, so that workers can be counted. */
function postgresBackend(
  { PostgresQueueBackend }: Bullmq,
  open: PostgresConnection,
): BackendFactory<RedisQueueBackend> {
  class Backend extends PostgresQueueBackend {
    /** Seconds. After a failed wait BullMQ waits as long as this at most, by default an hour, for a notice that may be lost. */
    override get maximumBlockTimeout(): number {
      return 5;
    }
  }
  return (queue, options, { blocking, withBlockingConnection } = {}) => {
    const name = withBlockingConnection ? queue : blocking ? `${queue}:qe` : undefined;
    // The options' connection is not read: it is open.
    const settings = options as ConstructorParameters<typeof PostgresQueueBackend>[2];
    return new Backend(open, queue, settings, true, name) as unknown as RedisQueueBackend;
  };
}

const postgresSettings = (url: string) => ({
  connectionString: url,
  connectionTimeoutMillis: 5000,
  // A machine that vanished answers nothing, not even that it is gone.
  query_timeout: 30_000,
  keepAlive: true,
  max: 4,
  migrate: true,
});

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

/**
 * A connection that has answered once. BullMQ keeps a first attempt that failed for ever, and would not serve the queue
 * any more without saying so; from the first answer on it connects again by itself.
 */
async function openPostgres(
  { PostgresConnection }: Bullmq,
  { label, url }: QueueAddress & { kind: "postgres" },
  { patienceSeconds, signal, onTrouble }: OpenQueueOptions,
): Promise<PostgresConnection> {
  const end = performance.now() + patienceSeconds * 1000;
  let told = "";
  for (;;) {
    signal?.throwIfAborted();
    const connection = new PostgresConnection(postgresSettings(url));
    try {
      await connection.waitUntilReady();
      return connection;
    } catch (error) {
      await connection.close().catch(() => undefined);
      const { message } = error as Error;
      if (!isLostConnection(error)) {
        throw new TtsVarError("USAGE", `--queue: ${label} refuses: ${message}`, { cause: error });
      }
      if (message !== told) onTrouble?.(new Error(`${label}: ${message || "no connection"}`));
      told = message;
      if (performance.now() > end) {
        throw new TtsVarError(
          "EVAL_PARTIAL",
          `${label} has not answered for ${patienceSeconds} s; start it and run the same command again`,
          { cause: error },
        );
      }
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
