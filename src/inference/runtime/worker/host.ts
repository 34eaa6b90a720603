/** Entry of the inference worker: loads service modules and answers calls. Runs in its own thread only. */
import { parentPort } from "node:worker_threads";
import { toWire } from "../../../core/wire-error.ts";
import { Moved, type Request, type Response, type Service } from "./protocol.ts";

const port = parentPort;
if (!port) throw new Error("this module is the entry of a worker thread");

const services = new Map<number, Service>();
let opened = 0;

async function answer(request: Exclude<Request, { type: "quit" }>): Promise<unknown> {
  if (request.type === "open") {
    const module = (await import(request.module)) as { openService(options: unknown): Promise<Service> };
    const key = ++opened;
    services.set(key, await module.openService(request.options));
    return key;
  }
  const service = services.get(request.service);
  if (!service) throw new Error(`service ${request.service} is closed`);
  if (request.type === "close") {
    services.delete(request.service);
    await service.close();
    return undefined;
  }
  const method = service.methods[request.method];
  if (!method) throw new Error(`unknown method ${request.method}`);
  return method(...request.args);
}

port.on("message", async (request: Request) => {
  // Messages arrive between computations only, so no native code is on the stack. (Ends this thread, not the program.)
  if (request.type === "quit") process.exit();
  let response: Response;
  let buffers: readonly ArrayBuffer[] = [];
  try {
    let value = await answer(request);
    if (value instanceof Moved) {
      buffers = value.buffers;
      value = value.value;
    }
    response = { id: request.id, ok: true, value };
  } catch (error) {
    response = { id: request.id, ok: false, error: toWire(error) };
  }
  port.postMessage(response, buffers as ArrayBuffer[]);
});
