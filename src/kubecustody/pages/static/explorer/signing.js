// ACS3-HMAC-SHA256 by WebCrypto: the same text to sign that an SDK makes, with every step kept.
//
// The server's half, in numbered steps, is src/kubecustody/signing/acs3.py.

export const ALGORITHM = "ACS3-HMAC-SHA256";
const encoder = new TextEncoder();

/** Bytes of a text, or the bytes themselves. */
const bytesOf = (data) => (typeof data === "string" ? encoder.encode(data) : data);

const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export async function sha256Hex(data) {
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf(data))));
}

export async function hmacHex(secret, text) {
  const key = await crypto.subtle.importKey("raw", bytesOf(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return hexOf(new Uint8Array(await crypto.subtle.sign("HMAC", key, bytesOf(text))));
}

/** Every byte but the unreserved ones (RFC 3986 section 2.3) as % and two upper-case hex digits. */
export function escape(text) {
  let escaped = "";
  for (const byte of bytesOf(text)) {
    const letter = String.fromCharCode(byte);
    escaped += /[A-Za-z0-9\-_.~]/.test(letter) ? letter : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

/** Order of bytes, which for texts that are not ASCII differs from the order of JavaScript's strings. */
function compareBytes(one, other) {
  const [left, right] = [bytesOf(one), bytesOf(other)];
  for (let place = 0; place < Math.min(left.length, right.length); place++) {
    if (left[place] !== right[place]) return left[place] - right[place];
  }
  return left.length - right.length;
}

/** [name, value] pairs, decoded, as the query that is signed; `bare`: an empty value without its "=". */
export function canonicalQuery(pairs, { bare = false } = {}) {
  return [...pairs]
    .sort((one, other) => compareBytes(one[0], other[0]) || compareBytes(one[1], other[1]))
    .map(([name, value]) => escape(name) + (bare && bytesOf(value).length === 0 && bytesOf(name).length ? "" : `=${escape(value)}`))
    .join("&");
}

export function canonicalRequest({ method, path, query, headers, signedNames, bodyHash }) {
  const lines = signedNames.map((name) => `${name}:${headers[name].trim()}`);
  return [method, path, query, ...lines, "", signedNames.join(";"), bodyHash].join("\n");
}

export async function stringToSign(canonical) {
  return `${ALGORITHM}\n${await sha256Hex(canonical)}`;
}

/** A moment as x-acs-date has it, in seconds. */
export const formatDate = (milliseconds) => new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");

export const newNonce = () => hexOf(crypto.getRandomValues(new Uint8Array(16)));

/**
 * A request ready to send: `target` and `headers`, all of them signed, and the steps that led to the signature.
 *
 * path: escaped already. query: decoded pairs. body: a text. key: {id, secret, token}. now: milliseconds.
 */
export async function signRequest({ method, path, query = [], host, action, version, body = "", key, now, nonce }) {
  const bodyHash = await sha256Hex(body);
  const headers = {
    host,
    "x-acs-action": action,
    "x-acs-content-sha256": bodyHash,
    "x-acs-date": formatDate(now),
    "x-acs-signature-nonce": nonce,
    "x-acs-version": version,
  };
  if (body) headers["content-type"] = "application/json; charset=utf-8";
  if (key.token) headers["x-acs-security-token"] = key.token;
  const signedNames = Object.keys(headers).sort();
  const queryText = canonicalQuery(query);
  const canonical = canonicalRequest({ method, path, query: queryText, headers, signedNames, bodyHash });
  const toSign = await stringToSign(canonical);
  const signature = await hmacHex(key.secret, toSign);
  headers.authorization = `${ALGORITHM} Credential=${key.id},SignedHeaders=${signedNames.join(";")},Signature=${signature}`;
  return {
    method,
    target: queryText ? `${path}?${queryText}` : path,
    headers,
    body,
    steps: { canonicalRequest: canonical, stringToSign: toSign, signature, bodyHash },
  };
}
