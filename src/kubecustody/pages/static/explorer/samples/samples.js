// The samples of a call, one for each language. The tests run these very modules and what they write.

import { faultsOf } from "../requests.js";
import { go } from "./go.js";
import { java } from "./java.js";
import { kubecustodyPython } from "./ours.js";
import { python, pythonAsync } from "./python.js";
import { aliyun, curl, kubecustody } from "./shell.js";
import { typescript } from "./typescript.js";
import { wellFormed } from "./writing.js";

export const LANGUAGES = [python, pythonAsync, typescript, go, java, curl, aliyun, kubecustody, kubecustodyPython];

/** Values without halves of surrogate pairs, at any depth: no encoding has those. */
function mended(value) {
  if (typeof value === "string") return wellFormed(value);
  if (Array.isArray(value)) return value.map(mended);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [wellFormed(name), mended(item)]));
}

/**
 * The sample of a language: {install, tested, untested, note, refused, raw, why, code}. `refused` says why there is none,
 * `why` for what a raw call is made.
 *
 * sample: {operation, values, endpoint, region, version, temporary}, the values as the form has them.
 */
export function writeSample(language, sample) {
  const faults = faultsOf(sample.operation, sample.values);
  const mistyped = sample.operation.input.some((member) => !isOfItsKind(member, sample.values[member.wire]));
  if (mistyped) return { refused: `Mend the values first: ${faults.join("; ")}.`, code: "" };
  const written = language.write({ ...sample, values: mended(sample.values) });
  return written.refused ? { ...written, code: "" } : written;
}

function isOfItsKind(member, value) {
  if (value === undefined) return true;
  if (member.kind === "integer") return Number.isInteger(value);
  if (member.kind === "boolean") return typeof value === "boolean";
  if (member.kind === "array") return Array.isArray(value) && value.every((item) => fitsEntry(member, item));
  return typeof value === "string";
}

function fitsEntry(member, item) {
  if (!member.members) return typeof item === "string";
  if (item === null || typeof item !== "object" || Array.isArray(item)) return false;
  return member.members.every((one) => isOfItsKind(one, item[one.wire]));
}
