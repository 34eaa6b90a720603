import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What happens to a call: it passes; its answer is lost with the connection; or the whole server is gone. */
export type Trouble = "pass" | "lose-answer" | "vanish";

/** A proxy to a generator's server whose network fails where a test wants it to. */
export interface TroubledProxy extends AsyncDisposable {
  readonly url: string;
}

/** @param decide asked for every call by its name: `info`, `step`, ... */
export async function troubledProxy(
  target: string,
  decide: (call: string) => Trouble,
): Promise<TroubledProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    let losing = false;
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", end);
      socket.on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on("data", (data) => {
      const call = /^(?:GET|POST) \/v2\/(\w+)/.exec(data.toString("latin1"))?.[1];
      const trouble = call === undefined ? "pass" : decide(call);
      if (trouble === "vanish") return vanish();
      losing ||= trouble === "lose-answer";
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (losing) end();
      else client.write(data);
    });
  });
  const vanish = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => vanish(),
  };
}
