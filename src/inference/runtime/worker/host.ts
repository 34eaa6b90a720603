/** Entry of the inference worker: loads service modules and answers calls. Runs in its own thread only. */
import { parentPort } from "node:worker_threads";
import { answerCall, type Reply } from "../../../threads/calls.ts";
import { importOnnxRuntime } from "../native.ts";
import { Moved, type Request, type Service } from "./protocol.ts";

const port = parentPort;
if (!port) throw new Error("this module is the entry of a worker thread");

const services = new Map<number, Service>();
let opened = 0;

async function answer(request: Exclude<Request, { type: "quit" }>): Promise<unknown> {
  if (request.type === "warm") {
    await Promise.all([importOnnxRuntime(), import(request.module)]);
    return undefined;
  }
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

function send(reply: Reply): void {
  if (reply.ok && reply.value instanceof Moved) {
    const { value, buffers } = reply.value;
    port!.postMessage({ ...reply, value }, buffers as ArrayBuffer[]);
  } else port!.postMessage(reply);
}

port.on("message", (request: Request) => {
  // Messages arrive between computations only, so no native code is on the stack. (Ends this thread, not the program.)
  if (request.type === "quit") process.exit();
  void answerCall(send, request.id, () => answer(request));
});
