import { timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { getCookie } from "hono/cookie";
import { secureHeaders } from "hono/secure-headers";

/** Names under which this machine reaches itself. Any other name in `Host` is a foreign page's trick (DNS rebinding). */
const HOSTS = ["127.0.0.1", "localhost", "[::1]"];

/** Who may talk to the studio: pages that it served itself, in a browser that was given the token. */
export interface Door {
  readonly port: number;
  readonly token: string;
}

/** The browser keeps the token in a cookie of this name; cookies do not tell ports apart. */
export function cookieName({ port }: Door): string {
  return `tts-var-studio-${port}`;
}

export function isToken({ token }: Door, given: string | undefined): boolean {
  const [left, right] = [Buffer.from(token), Buffer.from(given ?? "")];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Refuses requests for other hosts, from other origins, and without the token. */
export function guard(door: () => Door): MiddlewareHandler {
  return async (context, next) => {
    const { port } = door();
    const host = context.req.header("host") ?? "";
    if (!HOSTS.some((name) => host === `${name}:${port}`)) {
      return context.text(`this studio answers on http://127.0.0.1:${port} only`, 403);
    }
    const origin = context.req.header("origin");
    const changes = context.req.method !== "GET" && context.req.method !== "HEAD";
    // Browsers name the origin of everything that changes something; pages of other ports are other origins.
    if (origin === undefined ? changes : origin !== `http://${host}`) {
      return context.text("refused: the request comes from another page", 403);
    }
    const isApi = context.req.path.startsWith("/api/");
    const site = context.req.header("sec-fetch-site") ?? "none";
    if (isApi && site !== "same-origin" && site !== "none") {
      return context.text("refused: the request comes from another page", 403);
    }
    if (isApi && !isToken(door(), getCookie(context, cookieName(door())))) {
      return context.text("refused: open the address that `tts-var studio` printed, with its token", 401);
    }
    return next();
  };
}

/** Headers that keep the page to itself: nothing from elsewhere is loaded, nobody frames it. */
export const pageHeaders: MiddlewareHandler = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'", "data:"],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
  referrerPolicy: "no-referrer",
  crossOriginResourcePolicy: "same-origin",
  crossOriginOpenerPolicy: "same-origin",
  strictTransportSecurity: false,
});
