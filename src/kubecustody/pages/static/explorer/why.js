// "Why?": what detail=true tells of one state.

import { showBody } from "./answers.js";
import { ask, element, visible } from "./dom.js";

const OPERATION = "ListUserKubeConfigStates";
const EVIDENCE = "DescribeCredential";
const MOST_PAGES = 20;

/** The row with everything that is told of it; null where it is not found, and the answer that failed instead. */
async function findRow({ uid, clusterId, page, size }, { byName, send }) {
  const pages = page || size ? [page ?? 1] : Array.from({ length: MOST_PAGES }, (_, place) => place + 1);
  for (const number of pages) {
    const values = { page_number: number, page_size: size ?? (page ? 50 : 100), detail: true };
    const result = await send(byName.get(OPERATION), uid ? { Uid: uid, ...values } : values);
    if (result.status >= 400 || !result.isJson) return { failed: result };
    const row = result.body.states.find((one) => one.cluster_id === clusterId);
    if (row) return { row };
    if (result.body.states.length < values.page_size) break;
  }
  return {};
}

function facts(row, members) {
  const about = new Map(members.map((member) => [member.wire, member]));
  const rows = [];
  for (const name of ["cert_state", "cert_expire_time", "can_get_in", "removal_requested_at", "observed_at", "reachable", "live_credential_count"]) {
    if (!(name in row)) continue;
    const value = row[name];
    const meaning = about.get(name)?.values?.[value] ?? "";
    rows.push(element("dt", {}, name), element("dd", {}, element("strong", {}, value === null || value === "" ? "none" : visible(value)), meaning && ` ${meaning}`));
  }
  return element("dl", { class: "facts" }, ...rows);
}

async function evidenceOf(credential, clusterId, { byName, send }) {
  const operation = byName.get(EVIDENCE);
  if (!operation || !credential.fingerprint) return "";
  const given = { fingerprint: credential.fingerprint, cluster_id: clusterId };
  const values = Object.fromEntries(operation.input.filter((member) => given[member.name]).map((member) => [member.wire, given[member.name]]));
  const result = await send(operation, values);
  return element("details", {}, element("summary", {}, `Evidence for ${visible(credential.common_name)}`), showBody(result, () => null));
}

/** Opens what is known of why a row's state is what it is. */
export async function explain(row, where, context) {
  const title = `Why is ${visible(row.cluster_name ?? row.account_name ?? where.clusterId)} ${visible(row.cert_state)}?`;
  let parts;
  try {
    const { row: found, failed } = await findRow(where, context);
    const members = context.byName.get(OPERATION).output.find((member) => member.wire === "states").members;
    if (failed) parts = [element("p", {}, `It could not be asked (status ${failed.status}).`), showBody(failed, () => null)];
    else if (!found) parts = [element("p", {}, "The cluster is no longer on this page of the list. Call again.")];
    else {
      const live = found.live_credentials ?? [];
      const evidence = await Promise.all(live.slice(0, 10).map((one) => evidenceOf(one, where.clusterId, context)));
      parts = [element("p", { class: "lead" }, visible(found.cert_state_reason)), facts(found, members)];
      if (live.length) parts.push(element("h3", {}, "Credentials that may still get in"), showBody({ operation: { output: [] }, body: live, isJson: true, text: "" }, () => null), ...evidence);
    }
  } catch (error) {
    parts = [element("p", {}, `No answer came (${error.message}).`)];
  }
  await ask(title, parts, [["close", "Close", "main"]]);
}
