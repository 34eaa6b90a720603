import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** The way to a server, on which some connections are lost as soon as they are used. */
export interface CuttingProxy extends AsyncDisposable {
  readonly url: string;
  /** How many were lost so far. */
  readonly cut: number;
}

/** @param lose which of the connections that reach the server, counted from 0, are lost */
export async function cutConnections(target: string, lose: readonly number[]): Promise<CuttingProxy> {
  const { port, hostname } = new URL(target);
  const sockets = new Set<Socket>();
  let reached = 0;
  let cut = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname, () => {
      const lost = lose.includes(reached++);
      client.on("data", (data) => {
        if (!lost) upstream.write(data);
        else {
          cut++;
          client.destroy();
        }
      });
    });
    upstream.on("data", (data) => client.write(data));
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = Object.assign(new URL(target), { port: `${(server.address() as AddressInfo).port}` });
  return {
    url: url.href,
    get cut() {
      return cut;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
