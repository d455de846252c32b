// Sending a signed call, and what came back.

import { signCall } from "./requests.js";

/** Headers that the browser sets itself, to what was signed. */
const BY_THE_BROWSER = new Set(["host"]);

/**
 * {request, status, headers, millis, text, body, isJson}; `body` is undefined where the answer is no JSON.
 * Throws TypeError where no answer came.
 */
export async function call(operation, values, { origin, version, key, now, signal, send = fetch }) {
  const request = await signCall(operation, values, { host: new URL(origin).host, version, key, now });
  const headers = Object.entries(request.headers).filter(([name]) => !BY_THE_BROWSER.has(name));
  const started = performance.now();
  const response = await send(origin + request.target, {
    method: request.method,
    headers,
    body: request.body || undefined,
    redirect: "manual",
    credentials: "omit",
    cache: "no-store",
    referrerPolicy: "no-referrer",
    signal,
  });
  const text = await response.text();
  const millis = performance.now() - started;
  let body;
  let isJson = true;
  try {
    body = JSON.parse(text);
  } catch {
    isJson = false;
  }
  return { operation, values, request, status: response.status, headers: [...response.headers], millis, text, body, isJson };
}
