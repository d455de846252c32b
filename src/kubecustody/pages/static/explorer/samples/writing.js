// What the samples of every language share: which values they hold, and how names and texts are written.

/** Members with a value, in the operation's order. A secret one is read from the environment by every sample. */
export const given = ({ operation, values }, location) =>
  operation.input.filter((member) => member.location === location && values[member.wire] !== undefined);

/** The environment variable of a secret member: its text, or JSON where it is no text. */
export const variableOf = (member) => `REQUEST_${snake(member.name).toUpperCase()}`;

export const isJson = (member) => member.kind !== "string";

export const holdsSecret = ({ operation, values }) => operation.input.some((member) => member.secret && values[member.wire] !== undefined);

/** Whether a provider's SDK can send all that is given, and reads all that is answered. `lacks`: what it does not know. */
export function isTyped({ operation, values }, lacks = {}) {
  if (operation.ours || operation.undocumented) return false;
  const missing = lacks[operation.name];
  if (missing === true) return false;
  return operation.input.every((member) => values[member.wire] === undefined || !(member.ours || missing?.includes(member.wire)));
}

// Answers that the SDKs' own methods pass over; what our server adds to them comes by the raw call.
const PASSED_OVER = new Set(["CleanClusterUserPermissions"]);

/** Whether a call gives an answer beside its status. */
export const givesAnswer = (operation, typed) => operation.output !== null && !(typed && PASSED_OVER.has(operation.name));

/** ListUserKubeConfigStates as the provider's Python SDK writes it. */
export const sdkSnake = (name) => name.replace(/([a-z])(?=[A-Z])/g, "$1_").toLowerCase();

/** The same as our own client writes it. */
export const snake = (name) => name.replace(/([a-z0-9])(?=[A-Z])/g, "$1_").replace(/([A-Z])(?=[A-Z][a-z])/g, "$1_").toLowerCase();

export const pascal = (name) => name.replace(/(?:^|_)([a-z0-9])/g, (_, letter) => letter.toUpperCase());
export const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
export const lowerFirst = (name) => name[0].toLowerCase() + name.slice(1);

/** A text in double quotes as JSON, Python, JavaScript and Java read it alike: ASCII, nothing but escapes. */
export const quoted = (text) =>
  JSON.stringify(String(text)).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** The text, with halves of surrogate pairs replaced, which no encoding has. */
export const wellFormed = (text) => new TextDecoder().decode(new TextEncoder().encode(text));

/** The path of a raw call, its values percent-encoded. */
export { layOut } from "../requests.js";

/** Host and port, and the protocol. */
export function addressOf(endpoint) {
  const { protocol, host } = new URL(endpoint);
  return { protocol: protocol.replace(":", ""), host };
}

/** Each line of a text moved to the right. */
export const indented = (text, by) => text.replace(/\n/g, `\n${by}`);
