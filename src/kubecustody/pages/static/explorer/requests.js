// From an operation of the catalogue and the values of the form to a request, without sending it.

import { escape, newNonce, signRequest } from "./signing.js";

/** The value as the query has it: lists by commas, as the SDKs send them. */
export const queryText = (value) => (Array.isArray(value) ? value.join(",") : String(value));

/** Path with its values put in, query as pairs, and the body's text ("" for none), where the catalogue says. */
export function layOut(operation, values) {
  let path = operation.path;
  const query = [];
  const document = {};
  let content;
  for (const member of operation.input) {
    const value = values[member.wire];
    if (member.location === "path") path = path.replace(`{${member.wire}}`, () => escape(String(value ?? "")));
    else if (value === undefined) continue;
    else if (member.location === "query") query.push([member.wire, queryText(value)]);
    else if (member.whole) content = value;
    else document[member.wire] = value;
  }
  if (content === undefined && Object.keys(document).length) content = document;
  return { path, query, body: content === undefined ? "" : JSON.stringify(content) };
}

/** The signed request of a call. */
export function signCall(operation, values, { host, version, key, now = Date.now(), nonce = newNonce() }) {
  const { path, query, body } = layOut(operation, values);
  return signRequest({ method: operation.method, path, query, body, host, version, key, now, nonce, action: operation.name });
}

/** What is wrong with a value by the catalogue, in words; "" where nothing is. The server judges all the same. */
export function faultOf(member, value) {
  if (value === undefined || value === "") {
    return member.required && !member.may_be_empty ? "is mandatory" : "";
  }
  if (member.kind === "integer") {
    if (!Number.isInteger(value)) return "must be an integer";
    if (member.minimum !== null && value < member.minimum) return `must be at least ${member.minimum}`;
    if (member.maximum !== null && value > member.maximum) return `must be at most ${member.maximum}`;
  } else if (member.kind === "boolean") {
    if (typeof value !== "boolean") return "must be true or false";
  } else if (member.kind === "array") {
    if (!Array.isArray(value)) return "must be a JSON array";
    if (member.most !== null && value.length > member.most) return `has more than ${member.most} entries`;
    if (member.fewest !== null && value.length < member.fewest) return `has fewer entries than ${member.fewest}`;
  } else if (member.kind === "string") {
    const text = String(value);
    if (member.most !== null && [...text].length > member.most) return `has more than ${member.most} characters`;
    if (member.values && !Object.hasOwn(member.values, text)) return "is none of the values that there are";
    if (member.pattern !== null && !new RegExp(member.pattern, "u").test(text)) return `must be ${member.must}`;
  }
  return "";
}

/** The faults of a member beside the others. */
export function faultsAmong(member, values) {
  const isGiven = (name) => values[name] !== undefined && values[name] !== "";
  const clashes = isGiven(member.wire) ? member.excludes.filter(isGiven) : [];
  return [faultOf(member, values[member.wire]), ...clashes.map((other) => `does not go with ${other}`)].filter(Boolean);
}

/** Every fault as "name what". */
export const faultsOf = (operation, values) =>
  operation.input.flatMap((member) => faultsAmong(member, values).map((fault) => `${member.wire} ${fault}`));

/** What a text of the form, or of a link, means for this member; undefined for nothing. Wrong ones stay texts. */
export function readValue(member, text) {
  if (text === "" && !(member.kind === "array")) return undefined;
  if (member.kind === "integer") return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
  if (member.kind === "boolean") return { true: true, false: false }[text.toLowerCase()] ?? text;
  if (member.kind === "array" && member.location === "query") {
    const entries = text.split(/[\s,]+/).filter(Boolean);
    return entries.length ? entries : undefined;
  }
  if (member.kind === "array" || member.kind === "object") {
    if (!text.trim()) return undefined;
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  return text;
}

/** The other way: the text in the form, or a link, for a value. */
export function writeValue(member, value) {
  if (value === undefined) return "";
  if (member.kind === "array" && member.location === "query" && Array.isArray(value)) return value.join(",");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
