// "Why?": what detail=true tells of one state.

import { showBody } from "./answers.js";
import { ask, element, visible } from "./dom.js";

const OPERATION = "ListUserKubeConfigStates";
const OF_A_CLUSTER = "ListClusterKubeconfigStates";
const EVIDENCE = "DescribeCredential";
const MOST_PAGES = 20;
const MOST_EVIDENCE = 10;

const STANDING = ["cert_state", "cert_expire_time", "can_get_in", "removal_requested_at", "observed_at", "reachable", "live_credential_count"];
const OF_A_CREDENTIAL = ["cert_state", "not_before", "cert_expire_time", "can_get_in", "removal_requested_at", "removed_at", "removed_by", "prospect", "private_key", "holder_state"];

/** {row} with everything that is told of it, {failed} with the answer that failed, or {} where it is not found. */
async function findRow({ uid, clusterId, at, page, size }, { byName, send }) {
  const pages = page || size ? [page ?? 1] : Array.from({ length: MOST_PAGES }, (_, place) => place + 1);
  for (const number of pages) {
    const values = { Uid: uid, at, page_number: number, page_size: size ?? (page ? 50 : 100), detail: true };
    const result = await send(byName.get(OPERATION), values);
    if (result.status >= 400 || !result.isJson) return { failed: result };
    const row = result.body.states.find((one) => one.cluster_id === clusterId);
    if (row) return { row };
    if (result.body.states.length < values.page_size) break;
  }
  return {};
}

function facts(row, names, members) {
  const about = new Map(members.map((member) => [member.wire, member]));
  const rows = [];
  for (const name of names) {
    if (!(name in row)) continue;
    const value = row[name];
    const meaning = about.get(name)?.values?.[value] ?? "";
    rows.push(element("dt", {}, name), element("dd", {}, element("strong", {}, value === null || value === "" ? "none" : visible(value)), meaning && ` ${meaning}`));
  }
  return element("dl", { class: "facts" }, ...rows);
}

const describe = (fingerprint, clusterId, { byName, send }) => send(byName.get(EVIDENCE), { ClusterId: clusterId, Credential: fingerprint });

async function evidenceOf(credential, clusterId, context) {
  if (!credential.fingerprint) return "";
  const result = await describe(credential.fingerprint, clusterId, context);
  return element("details", {}, element("summary", {}, `Evidence for ${visible(credential.common_name)}`), showBody(result, () => null));
}

const refused = (result) => [element("p", {}, `It could not be asked (status ${result.status}).`), showBody(result, () => null)];

async function partsOfState(where, context) {
  const { row, failed } = await findRow(where, context);
  if (failed) return refused(failed);
  if (!row) return [element("p", {}, "The cluster is no longer on this page of the list. Call again.")];
  const members = context.byName.get(OPERATION).output.find((member) => member.wire === "states").members;
  const live = row.live_credentials ?? [];
  // What is known now is no evidence of what was known then.
  const evidence = await Promise.all(where.at ? [] : live.slice(0, MOST_EVIDENCE).map((one) => evidenceOf(one, where.clusterId, context)));
  const told = [element("p", { class: "lead" }, visible(row.cert_state_reason)), facts(row, STANDING, members)];
  if (!live.length) return told;
  return [...told, element("h3", {}, "Credentials that may still get in"), showBody({ operation: { output: [] }, body: live, isJson: true, text: "" }, () => null), ...evidence];
}

async function partsOfCredential({ fingerprint, clusterId }, context) {
  const result = await describe(fingerprint, clusterId, context);
  if (result.status >= 400 || !result.isJson) return refused(result);
  return [element("p", { class: "lead" }, visible(result.body.cert_state_reason)), facts(result.body, OF_A_CREDENTIAL, result.operation.output), showBody(result, () => null)];
}

/** Of which state a row tells, for `explain`; null for none. `values`: those of the call that answered it. */
export function stateOf(row, { operation, values }) {
  if (operation.name === OPERATION && row.cluster_id) {
    return { uid: values.Uid ?? "", clusterId: row.cluster_id, at: values.at, page: values.page_number, size: values.page_size };
  }
  if (operation.name === OF_A_CLUSTER && row.account_id) return { uid: row.account_id, clusterId: values.ClusterId, at: values.at };
  return row.cert_state && row.fingerprint && row.cluster_id ? { fingerprint: row.fingerprint, clusterId: row.cluster_id } : null;
}

/** Opens what is known of why a row's state is what it is. */
export async function explain(row, where, context) {
  const title = `Why is ${visible(row.cluster_name ?? row.account_name ?? where.clusterId)} ${visible(row.cert_state)}?`;
  let parts;
  try {
    parts = await (where.fingerprint ? partsOfCredential : partsOfState)(where, context);
  } catch (error) {
    parts = [element("p", {}, `No answer came (${error.message}).`)];
  }
  await ask(title, parts, [["close", "Close", "main"]], { toRead: true });
}
