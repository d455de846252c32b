// Showing an answer: status, headers, JSON that folds, lists as tables. What is secret is masked until it is revealed.

import { copyButton, element, newId, visible } from "./dom.js";

const ROWS = 100;
const LONG_TEXT = 600;
const KEY_MATERIAL = /PRIVATE KEY-----|client-key-data:|\btoken:\s*\S/;

/** Names of members whose values are secret, at any depth. */
function secretNames(members = []) {
  return members.flatMap((member) => [...(member.secret ? [member.wire] : []), ...secretNames(member.members)]);
}

/** Whether a value is to be masked. */
export const isSecret = (secrets, name, value) => typeof value === "string" && value !== "" && (secrets.has(name) || KEY_MATERIAL.test(value));

/** The JSON with secrets masked: what is copied before anybody reveals them. */
function masked(value, secrets, name = "") {
  if (isSecret(secrets, name, value)) return "***";
  if (Array.isArray(value)) return value.map((item) => masked(item, secrets, name));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, masked(item, secrets, key)]));
}

/** A masked text, and a button that shows it. */
function hiddenText(text) {
  const shown = element("pre", { class: "secret", tabindex: "0", hidden: true });
  const mask = element("span", { class: "mask" }, "masked: it holds a private key or a token ");
  const button = element("button", { type: "button", class: "small", "aria-expanded": "false" }, "Reveal");
  const copy = copyButton(() => text);
  copy.hidden = true;
  button.addEventListener("click", () => {
    const reveal = shown.hidden;
    shown.textContent = reveal ? text : "";
    shown.hidden = copy.hidden = !reveal;
    button.textContent = reveal ? "Mask again" : "Reveal";
    button.setAttribute("aria-expanded", String(reveal));
  });
  return element("span", { class: "hidden-text" }, mask, button, " ", copy, shown);
}

// --- JSON that folds

function leaf(value, name, secrets) {
  if (isSecret(secrets, name, value)) return hiddenText(value);
  const kind = value === null ? "null" : typeof value;
  const text = kind === "string" ? visible(value) : String(value);
  if (text.length <= LONG_TEXT) return element("span", { class: `json-${kind}` }, kind === "string" ? `"${text}"` : text);
  const rest = element("span", { class: "json-string" }, `"${text.slice(0, LONG_TEXT)}`);
  const more = element("button", { type: "button", class: "small" }, `all ${text.length.toLocaleString("en")} characters`);
  more.addEventListener("click", () => { rest.textContent = `"${text}"`; more.remove(); });
  return element("span", {}, rest, " ", more);
}

function node(name, value, secrets, depth) {
  const label = name === null ? null : element("span", { class: "json-name" }, typeof name === "number" ? `${name}: ` : `${visible(name)}: `);
  if (value === null || typeof value !== "object") return element("li", {}, label, leaf(value, name, secrets));
  const entries = Array.isArray(value) ? value.map((item, place) => [place, item]) : Object.entries(value);
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  if (!entries.length) return element("li", {}, label, Array.isArray(value) ? "[]" : "{}");
  const list = element("ul", {});
  const details = element("details", {}, element("summary", {}, label, element("span", { class: "soft" }, size)), list);
  const fill = () => { if (!list.firstChild) addMore(list, entries, 0, secrets, depth + 1); };
  // What is closed costs nothing.
  details.addEventListener("toggle", () => { if (details.open) fill(); });
  if (depth === 0 || (depth < 3 && entries.length <= 20)) {
    fill();
    details.open = true;
  }
  return element("li", {}, details);
}

function addMore(list, entries, from, secrets, depth) {
  list.append(...entries.slice(from, from + ROWS).map(([name, value]) => node(name, value, secrets, depth)));
  const left = entries.length - from - ROWS;
  if (left <= 0) return;
  const more = element("button", { type: "button", class: "small" }, `${Math.min(left, ROWS)} more of ${left.toLocaleString("en")}`);
  const item = element("li", {}, more);
  more.addEventListener("click", () => {
    item.remove();
    addMore(list, entries, from + ROWS, secrets, depth);
  });
  list.append(item);
}

function tree(body, secrets) {
  return element("ul", { class: "json", "aria-label": "Answer as JSON" }, node(null, body, secrets, 0));
}

/** The members that stand beside a list. */
function restOf(body, secrets) {
  const list = element("ul", { class: "json", "aria-label": "What else the answer has" });
  addMore(list, Object.entries(body), 0, secrets, 1);
  return list;
}

// --- tables

/** The lists of objects in an answer: [name, rows]. */
export function listsOf(body) {
  if (Array.isArray(body)) return body.length && body.every((row) => row && typeof row === "object" && !Array.isArray(row)) ? [["", body]] : [];
  if (body === null || typeof body !== "object") return [];
  return Object.entries(body).filter(([, value]) => listsOf(value).length && Array.isArray(value));
}

const TIME = /^\d{4}-\d\d-\d\dT[\d:]+Z$/;
const STATE_MARKS = { Unexpired: "good", Expired: "warn", Removed: "warn", Unknown: "bad", running: "good", success: "good", failed: "bad", fail: "bad" };

const isNothing = (value) => value === undefined || value === null || value === "" || (Array.isArray(value) && !value.length);

/** Names first, then states, the certificate's before others, and ids last; no column that is empty. */
function columnsOf(rows) {
  const names = [...new Set(rows.slice(0, ROWS).flatMap(Object.keys))];
  const place = (name) => (name.endsWith("_name") || name === "name" ? 0 : name === "cert_state" ? 1 : name.endsWith("_state") || name === "state" ? 2 : name.endsWith("_id") || name === "fingerprint" ? 4 : 3);
  return names.filter((name) => rows.some((row) => !isNothing(row[name]))).sort((one, other) => place(one) - place(other));
}

function cell(name, value, secrets, more) {
  if (value === undefined || value === null) return element("td", { "data-label": name });
  if (isSecret(secrets, name, value)) return element("td", { "data-label": name }, hiddenText(value));
  if (typeof value === "object") return element("td", { "data-label": name }, element("code", {}, visible(JSON.stringify(masked(value, secrets, name))).slice(0, 300)));
  const text = visible(value);
  if (TIME.test(text)) return element("td", { "data-label": name, class: "time" }, text);
  if (name.endsWith("_id") || name === "fingerprint") return element("td", { "data-label": name }, element("code", {}, text));
  const mark = name.endsWith("state") || name === "status" ? STATE_MARKS[value] ?? "plain" : "";
  return element("td", { "data-label": name }, mark ? element("span", { class: `mark ${mark}` }, text) : text, more && " ", more);
}

/** The button beside a state. */
function whyButton(row, explain) {
  const named = visible(row.cluster_name ?? row.account_name ?? "it");
  return element("button", { type: "button", class: "small", "aria-label": `why? ${named} is ${visible(row.cert_state)}`, on: { click: explain } }, "why?");
}

/** One list as a table of at most 100 rows at a time. `why(row)` is a handler, or null, for a button beside its state. */
function table(title, rows, secrets, why) {
  const columns = columnsOf(rows);
  const head = element("thead", {}, element("tr", {}, ...columns.map((name) => element("th", { scope: "col" }, visible(name)))));
  const body = element("tbody");
  const count = element("p", { class: "soft", "aria-live": "polite" });
  const caption = title ? visible(title) : "entries";
  let page = 0;
  const pages = Math.ceil(rows.length / ROWS);
  const show = (to) => {
    page = Math.max(0, Math.min(pages - 1, to));
    body.replaceChildren(...rows.slice(page * ROWS, (page + 1) * ROWS).map((row) => {
      const explain = why(row);
      const button = explain && whyButton(row, explain);
      return element("tr", {}, ...columns.map((name) => cell(name, row[name], secrets, name === "cert_state" && button)));
    }));
    count.textContent = pages > 1 ? `${caption}: ${page * ROWS + 1} to ${Math.min(rows.length, (page + 1) * ROWS)} of ${rows.length.toLocaleString("en")}` : `${caption}: ${rows.length}`;
  };
  show(0);
  const turn = pages > 1 && element("p", { class: "actions" },
    ...[["First", () => 0], ["Back", () => page - 1], ["On", () => page + 1], ["Last", () => pages - 1]].map(([text, to]) => element("button", { type: "button", class: "small", on: { click: () => show(to()) } }, text)));
  return element("div", {}, count, turn, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table of ${caption}` }, element("table", { class: "cards" }, head, body)));
}

/** The answer's body, as a table where it has a list, and as JSON. */
export function showBody(result, why) {
  const { operation, body, isJson, text } = result;
  const secrets = new Set(secretNames(operation.output ?? []));
  if (!isJson) {
    const shown = KEY_MATERIAL.test(text) ? hiddenText(text) : element("pre", { class: "answer", tabindex: "0" }, visible(text.slice(0, 20_000)));
    const told = text === "" ? "The answer is empty." : "The answer is not JSON, so it is not this API's. Something between, such as a proxy, may have answered; it is shown as it came.";
    return element("div", {}, element("p", { class: "note" }, told), text === "" ? null : shown);
  }
  const json = () => tree(body, secrets);
  const copy = copyButton(() => JSON.stringify(masked(body, secrets), null, 2), "Copy the JSON");
  const lists = listsOf(body);
  if (!lists.length) return element("div", {}, json(), element("p", { class: "actions" }, copy));
  const rest = Array.isArray(body) ? {} : Object.fromEntries(Object.entries(body).filter(([name]) => !lists.some(([list]) => list === name)));
  const view = element("div", {});
  const name = newId("view");
  const views = {
    Table: () => [...lists.map(([title, rows]) => table(title, rows, secrets, why)), Object.keys(rest).length ? restOf(rest, secrets) : ""],
    JSON: () => [json(), element("p", { class: "actions" }, copy)],
  };
  const choose = Object.keys(views).map((title, place) => {
    const input = element("input", { type: "radio", name, checked: place === 0, on: { change: () => view.replaceChildren(...views[title]()) } });
    return element("label", {}, input, ` ${title}`);
  });
  view.append(...views.Table());
  return element("div", {}, element("fieldset", { class: "views" }, element("legend", { class: "unseen" }, "View"), ...choose), view);
}
