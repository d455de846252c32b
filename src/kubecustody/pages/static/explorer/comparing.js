// Why does a signature not hold? A request as it was sent, gone through step by step as the server does it.
//
// The steps and spellings are those of src/kubecustody/signing/{acs3,canonical}.py. Nothing is sent.

import { ALGORITHM, canonicalQuery, escape, hmacHex, sha256Hex } from "./signing.js";

const encoder = new TextEncoder();
const CLOCK_SKEW_SECONDS = 900;
const EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** A request as text: its first line, headers, an empty line, its body. Also as `curl -v` prints it, with "> ". */
export function parseRequest(text) {
  let lines = text.replace(/\r\n/g, "\n").replace(/^\s*\n/, "").split("\n");
  if (lines[0].startsWith("> ")) lines = lines.filter((line) => /^>/.test(line)).map((line) => line.replace(/^> ?/, ""));
  const blank = lines.indexOf("");
  const head = blank < 0 ? lines : lines.slice(0, blank);
  const body = blank < 0 ? "" : lines.slice(blank + 1).join("\n");
  const first = /^([A-Za-z]+)\s+(\S+)(?:\s+HTTP\/[\d.]+)?\s*$/.exec(head[0] ?? "");
  if (!first) throw new Error("The first line must be a request's: METHOD /path?query HTTP/1.1");
  const target = first[2].replace(/^https?:\/\/[^/]*/, "") || "/";
  const [path, ...queries] = target.split("?");
  const headers = [];
  for (const line of head.slice(1)) {
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error(`This line is no header (NAME: value): ${line.slice(0, 80)}`);
    headers.push([line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()]);
  }
  return { method: first[1], path, query: queries.join("?"), headers, body };
}

// --- spellings

/** Bytes of a percent-encoded text; a % without two hex digits stands for itself. */
function unescapeBytes(text) {
  const bytes = [];
  for (let place = 0; place < text.length; ) {
    const hex = /^%([0-9A-Fa-f]{2})/.exec(text.slice(place, place + 3));
    if (hex) {
      bytes.push(Number.parseInt(hex[1], 16));
      place += 3;
    } else {
      const letter = String.fromCodePoint(text.codePointAt(place));
      bytes.push(...encoder.encode(letter));
      place += letter.length;
    }
  }
  return new Uint8Array(bytes);
}

export function decodeQuery(query) {
  return query
    .split("&")
    .filter(Boolean)
    .map((field) => {
      const [name, ...rest] = field.split("=");
      return [name, rest.join("=")].map((part) => unescapeBytes(part.replaceAll("+", " ")));
    });
}

const unescapeOne = (_, digits) => String.fromCharCode(Number.parseInt(digits, 16));
const escapedPath = (path) => path.split("/").map((segment) => escape(unescapeBytes(segment))).join("/");
const asText = (bytes) => new TextDecoder().decode(bytes);
const unique = (spellings) => spellings.filter((one, at) => spellings.findIndex((other) => other.text === one.text) === at);

/** The spellings of path and query that the server takes, the usual one first. */
const pathSpellings = (path) => {
  const escaped = escapedPath(path || "/");
  return unique([path || "/", escaped, escaped.replace(/%(21|27|28|29)/g, unescapeOne)].map((text) => ({ text })));
};
const querySpellings = (query) => {
  const pairs = decodeQuery(query);
  return unique([{ text: canonicalQuery(pairs) }, { text: canonicalQuery(pairs, { bare: true }) }]);
};

/** What clients are seen to sign by mistake, each with what to do about it. */
function mistakes(request, claim) {
  const { method, path, query, body } = request;
  const pairs = decodeQuery(query);
  const host = claim.headers.host ?? "";
  const bare = host.replace(/:\d+$/, "");
  const decoded = pairs.map((pair) => pair.map(asText).join("=")).join("&");
  const names = claim.signedNames;
  return {
    method: unique([{ text: method.toUpperCase() }, { text: method.toLowerCase(), why: "the method in lower case; sign it in capitals" }]),
    path: unique([
      ...pathSpellings(path),
      { text: asText(unescapeBytes(path)), why: "the path decoded; sign it percent-encoded, as it is sent" },
      { text: encodeURIComponent(path), why: "the path with its slashes encoded; encode each segment alone" },
      { text: path.replace(/\/+/g, "/"), why: "the path with empty segments folded; sign it as it is sent" },
      { text: "/", why: "the path / instead of the request's own; the API is of the ROA style" },
    ]),
    query: unique([
      ...querySpellings(query),
      { text: query, why: "the query as it is sent; sort it by name and percent-encode each name and value (%20 for a blank)" },
      { text: decoded, why: "the query decoded; percent-encode each name and value" },
      { text: canonicalQuery(pairs).replaceAll("%20", "+"), why: "blanks as +; the canonical query has %20" },
      { text: canonicalQuery(pairs).replace(/%[0-9A-F]{2}/g, (one) => one.toLowerCase()), why: "escapes in lower case; the canonical query has %2F, not %2f" },
      { text: "", why: "no query at all" },
    ]),
    host: unique([
      { text: host },
      { text: bare, why: `the host without its port; sign ${host} as the Host header has it` },
      { text: `${bare}:443`, why: "the host with :443; sign the Host header as it is sent" },
      { text: `${bare}:80`, why: "the host with :80; sign the Host header as it is sent" },
    ]),
    names: unique([
      { text: names.join(";") },
      { text: names.join(","), why: "the signed names separated by commas; separate them by ;" },
    ]),
    gap: [
      { text: "\n" },
      { text: "", why: "no empty line after the headers; each header ends with a line break, and one more follows" },
    ],
    hash: unique([
      { text: claim.headers["x-acs-content-sha256"] ?? EMPTY_HASH },
      { text: EMPTY_HASH, why: "the hash of an empty body; the last line is the hash of the body that is sent" },
      { text: "", why: "an empty last line; even a request without a body ends with the hash of nothing" },
      { text: body, why: "the body itself; the last line is the hash of the body" },
      { text: "UNSIGNED-PAYLOAD", why: "UNSIGNED-PAYLOAD; the body is always signed here" },
    ]),
  };
}

function compose(parts, claim) {
  const lines = claim.signedNames.map((name) => `${name}:${name === "host" ? parts.host : claim.headers[name] ?? ""}`);
  return [parts.method, parts.path, parts.query, lines.join("\n") + parts.gap, parts.names, parts.hash].join("\n");
}

function* combinations(choices, keys = Object.keys(choices)) {
  if (!keys.length) {
    yield { parts: {}, whys: [] };
    return;
  }
  const [key, ...rest] = keys;
  for (const choice of choices[key]) {
    for (const { parts, whys } of combinations(choices, rest)) {
      yield { parts: { [key]: choice.text, ...parts }, whys: choice.why ? [choice.why, ...whys] : whys };
    }
  }
}

/** The mistakes that explain the signature, fewest first; null where none of them does. */
async function findMistake(request, claim, secret) {
  const ordered = [...combinations(mistakes(request, claim))].sort((one, other) => one.whys.length - other.whys.length);
  const secrets = unique([
    { text: secret },
    { text: secret.trim(), why: "the secret without the blanks around it" },
    { text: `${secret}\n`, why: "a secret with a line break at its end" },
    { text: `${secret}&`, why: "a secret with & behind it, as RPC signatures of version 1 have it" },
  ]);
  for (const { text, why } of secrets) {
    for (const { parts, whys } of ordered.filter((one) => one.whys.length <= (why ? 0 : 2))) {
      const canonical = compose(parts, claim);
      for (const [toSign, whyToo] of await stringsToSign(canonical, whys.length === 0)) {
        if ((await hmacHex(text, toSign)) === claim.signature) {
          return { canonical, whys: [why, whyToo, ...whys].filter(Boolean) };
        }
      }
    }
  }
  return null;
}

async function stringsToSign(canonical, further) {
  const hash = await sha256Hex(canonical);
  const usual = [[`${ALGORITHM}\n${hash}`, ""]];
  if (!further) return usual;
  return [
    ...usual,
    [`${ALGORITHM}\n${canonical}`, "the canonical request itself; the second line is its SHA-256"],
    [hash, "no algorithm above the hash"],
    [`${ALGORITHM}\n${hash}\n`, "a line break behind the hash"],
  ];
}

// --- the steps

const AUTHORIZATION = /^(\S+)\s+Credential=([^,\s]*),\s*SignedHeaders=([^,\s]*),\s*Signature=(\S*)$/;

function readClaim(request, check) {
  const headers = {};
  const doubled = new Set();
  for (const [name, value] of request.headers) {
    if (name in headers) doubled.add(name);
    headers[name] = value;
  }
  const value = headers.authorization ?? "";
  const match = AUTHORIZATION.exec(value);
  if (!value) check(false, "There is no Authorization header.");
  else if (/^acs /i.test(value)) check(false, "This is a signature of the older form (acs KEY:SIGNATURE, HMAC-SHA1), which this page does not go through.");
  else if (!match) check(false, `Authorization must read ${ALGORITHM} Credential=KEY,SignedHeaders=a;b,Signature=HEX, on one line.`);
  else if (match[1] !== ALGORITHM) check(false, `The algorithm is ${match[1].slice(0, 40)}; it must be ${ALGORITHM}.`);
  if (!match || match[1] !== ALGORITHM) return null;
  const claim = { headers, accessKeyId: match[2], signedNames: match[3].split(";"), signature: match[4].toLowerCase() };
  check(/^[0-9a-f]{64}$/.test(claim.signature), "The signature is 64 hex digits", "The signature must be 64 hex digits; base64 is of the older form.");
  const sorted = [...new Set(claim.signedNames)].sort();
  check(sorted.join() === claim.signedNames.join(), "SignedHeaders are sorted and name nothing twice", "SignedHeaders must be lower case, sorted, and name nothing twice.");
  const unsigned = ["host", ...Object.keys(headers).filter((name) => name.startsWith("x-acs-"))].filter((name) => !claim.signedNames.includes(name));
  check(!unsigned.length, "host and every x-acs-* header are signed", `Not signed: ${[...new Set(unsigned)].join(", ")}; host and every x-acs-* header must be.`);
  const missing = claim.signedNames.filter((name) => !(name in headers));
  check(!missing.length, "Every signed header was sent", `Signed but not sent: ${missing.join(", ")}. Something between may have taken it out, or only this text lacks it.`);
  const twice = claim.signedNames.filter((name) => doubled.has(name));
  check(!twice.length, "No signed header came twice", `Came twice: ${twice.join(", ")}.`);
  return claim;
}

function checkDate(value, now, check) {
  if (value === undefined) return check(false, "There is no x-acs-date header.");
  const moment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(moment)) return check(false, "x-acs-date must read like 2026-11-24T03:00:42Z: UTC, in seconds, with Z.");
  const seconds = Math.round((moment - now) / 1000);
  const apart = Math.abs(seconds);
  const words = apart < 120 ? `${apart} seconds` : apart < 7200 ? `${Math.round(apart / 60)} minutes` : `${Math.round(apart / 3600)} hours`;
  return check(
    apart <= CLOCK_SKEW_SECONDS,
    "x-acs-date is within 15 minutes of this machine's clock",
    `x-acs-date is ${words} ${seconds < 0 ? "behind" : "ahead of"} this machine's clock; the server takes 15 minutes. An old request fails for that alone.`,
  );
}

async function checkBody(request, claimed, check) {
  if (claimed === undefined) return check(false, "There is no x-acs-content-sha256 header.");
  if ((await sha256Hex(request.body)) === claimed.toLowerCase()) return check(true, "x-acs-content-sha256 is the hash of the body");
  for (const body of [request.body.replace(/\n$/, ""), `${request.body}\n`, request.body.replaceAll("\n", "\r\n"), ""]) {
    if ((await sha256Hex(body)) === claimed.toLowerCase()) {
      return check(body !== "", "x-acs-content-sha256 is the hash of the body, but for line breaks", "x-acs-content-sha256 is the hash of an empty body, and a body was sent.");
    }
  }
  return check(false, `x-acs-content-sha256 is not the hash of this body, which is ${await sha256Hex(request.body)}.`);
}

/** Whether a method and path are those of an operation. An escaped slash does not end a segment. */
function isRoute(operation, method, path) {
  const pattern = operation.path.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{\w+\}/g, "[^/]*");
  return operation.method === method && new RegExp(`^${pattern}$`).test(path);
}

function checkRoute(request, headers, { operations, version }, check) {
  const routed = operations.find((operation) => isRoute(operation, request.method, request.path));
  if (!routed) return check(false, "No operation has this method and path; the API stands at the root, without a prefix.");
  const action = headers["x-acs-action"];
  check(action === undefined || action === routed.name, `Method and path are those of ${routed.name}`, `x-acs-action is ${String(action).slice(0, 60)}, but method and path are those of ${routed.name}.`);
  const claimed = headers["x-acs-version"];
  if (claimed !== undefined && claimed !== version) check(false, `x-acs-version is ${claimed.slice(0, 40)}; it must be ${version}.`);
  return undefined;
}

/** The two texts that an error SignatureDoesNotMatch holds, or that somebody's client printed. */
export function readTheirText(text) {
  const canonical = /CanonicalRequest is \[([\s\S]*?)\](?:\s|\.|"|$)/.exec(text);
  const toSign = /StringToSign is \[([\s\S]*?)\]/.exec(text);
  const found = canonical?.[1] ?? (toSign ? toSign[1] : text);
  return found.includes("\n") ? found : found.replaceAll("\\n", "\n");
}

/** Where two texts part: {line, column, ours, theirs}, counted from 1; null where they are equal. */
export function whereTheyPart(ours, theirs) {
  const [left, right] = [ours, theirs].map((text) => text.replace(/\r\n/g, "\n").split("\n"));
  for (let line = 0; line < Math.max(left.length, right.length); line++) {
    if (left[line] === right[line]) continue;
    const [one, other] = [left[line] ?? "", right[line] ?? ""];
    let column = 0;
    while (column < Math.min(one.length, other.length) && one[column] === other[column]) column++;
    return { line: line + 1, column: column + 1, ours: left[line] ?? null, theirs: right[line] ?? null };
  }
  return null;
}

/**
 * Everything that can be said of a request: {checks: [{ok, text}], canonicalRequest, stringToSign, holds, mistake, parted}.
 *
 * holds: null without a secret. mistake: what was signed instead, in words. parted: where the text that the client
 * signed differs. Throws Error where the text is no request.
 */
export async function inspect(text, { secret = "", theirs = "", now = Date.now(), catalogue }) {
  const request = parseRequest(text);
  const checks = [];
  const check = (ok, good, bad = good) => checks.push({ ok, text: ok ? good : bad });
  const claim = readClaim(request, check);
  const headers = claim?.headers ?? Object.fromEntries(request.headers);
  checkDate(headers["x-acs-date"], now, check);
  check(Boolean(headers["x-acs-signature-nonce"]), "x-acs-signature-nonce is there", "There is no x-acs-signature-nonce header.");
  await checkBody(request, headers["x-acs-content-sha256"], check);
  if (catalogue) checkRoute(request, headers, catalogue, check);
  if (!claim) return { checks, canonicalRequest: "", stringToSign: "", holds: null, mistake: null, parted: null };

  const base = { method: request.method.toUpperCase(), host: headers.host ?? "", names: claim.signedNames.join(";"), gap: "\n", hash: headers["x-acs-content-sha256"] ?? "" };
  const spellings = pathSpellings(request.path).flatMap(({ text: path }) => querySpellings(request.query).map(({ text: query }) => compose({ ...base, path, query }, claim)));
  const canonical = spellings[0];
  const toSign = `${ALGORITHM}\n${await sha256Hex(canonical)}`;
  let holds = null;
  let mistake = null;
  if (secret) {
    const signatures = await Promise.all(spellings.map(async (one) => hmacHex(secret, `${ALGORITHM}\n${await sha256Hex(one)}`)));
    holds = signatures.includes(claim.signature);
    if (!holds) mistake = await findMistake(request, claim, secret);
  }
  const signed = theirs ? readTheirText(theirs) : mistake?.canonical;
  const compared = signed?.startsWith(`${ALGORITHM}\n`) ? toSign : canonical;
  return {
    checks,
    canonicalRequest: canonical,
    stringToSign: toSign,
    holds,
    mistake: mistake?.whys ?? null,
    parted: signed === undefined ? null : whereTheyPart(compared, signed),
    signature: claim.signature,
    accessKeyId: claim.accessKeyId,
  };
}
