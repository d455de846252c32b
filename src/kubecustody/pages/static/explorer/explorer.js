// The API explorer: choose an operation, fill in its form, sign and send the call in this tab, read the answer.

import { showBody } from "./answers.js";
import { call } from "./calling.js";
import { makeCombobox } from "./combobox.js";
import { whereTheyPart, readTheirText } from "./comparing.js";
import { ask, byId, codeBlock, copyButton, element, makeTabs, visible } from "./dom.js";
import { makeFields } from "./fields.js";
import { begin, faultOfKey, PREFIX } from "./page.js";
import { faultsAmong, faultsOf, readValue, writeValue } from "./requests.js";
import { LANGUAGES, writeSample } from "./samples/samples.js";
import { explain, stateOf } from "./why.js";
import { Suggestions } from "./suggestions.js";

const FIRST = "ListUserKubeConfigStates";
const ORIGIN = location.origin;
const LONG_MESSAGE = 400; // such as the canonical request of a signature that does not match

const codeOf = (body) => String(body?.Code ?? body?.code ?? "");

begin((catalogue) => new Explorer(catalogue));

/** The values of a call as a list, without the secret ones. */
function givenValues(operation, values) {
  const given = operation.input.filter((member) => values[member.wire] !== undefined);
  const text = (member) => (member.secret ? "***" : visible(writeValue(member, values[member.wire])).slice(0, 400));
  return element("dl", { class: "facts" }, ...given.flatMap((member) => [element("dt", {}, member.wire), element("dd", {}, text(member))]));
}

class Explorer {
  constructor(catalogue) {
    this.catalogue = catalogue;
    this.byName = new Map(catalogue.operations.map((operation) => [operation.name, operation]));
    this.suggestions = new Suggestions((name, values) => this.send(this.byName.get(name), values));
    this.language = LANGUAGES[0];
    this.result = null;
    this.showOperation = makeCombobox(byId("operation"), byId("operations"), catalogue.operations, (operation) => this.choose(operation, {}));
    this.showTab = makeTabs(byId("tabs"));
    this.listLanguages();
    byId("call").addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    byId("clear").addEventListener("click", () => this.choose(this.operation, {}));
    byId("look-up").addEventListener("click", () => this.lookUp());
    byId("copy-link").replaceWith(copyButton(() => location.href, "Copy link"));
    for (const id of ["key-id", "key-secret", "key-token"]) {
      byId(id).value = ""; // whatever a browser put there
      byId(id).addEventListener("input", () => this.writeSamples());
    }
    // A tab that is left keeps no secret, not even in the browser's cache of pages.
    window.addEventListener("pagehide", () => ["key-secret", "key-token"].forEach((id) => { byId(id).value = ""; }));
    window.addEventListener("hashchange", () => { if (location.hash !== this.hash()) this.readLink(); });
    this.readLink();
  }

  key() {
    const [id, secret, token] = ["key-id", "key-secret", "key-token"].map((name) => byId(name).value.trim());
    return { id, secret, token };
  }

  // --- the link

  /** Operation and values of the link; what it names in error is told, and nothing is called. */
  readLink() {
    const given = new URLSearchParams(location.hash.slice(1) || location.search.slice(1));
    const name = given.get("operation");
    const operation = this.byName.get(name) ?? this.byName.get(FIRST);
    const values = {};
    const strangers = name && !this.byName.has(name) ? [`no operation ${visible(name).slice(0, 60)}`] : [];
    for (const [wire, text] of given) {
      if (wire === "operation") continue;
      const member = operation.input.find((one) => one.wire === wire);
      if (member && !member.secret) values[wire] = readValue(member, text);
      else strangers.push(member ? `${wire}, which is secret and belongs in no link` : `no parameter ${visible(wire).slice(0, 60)}`);
    }
    this.choose(operation, values);
    this.tell(strangers.length ? `The link was read, but for what does not exist here: ${strangers.slice(0, 5).join(", ")}.` : "");
  }

  hash() {
    const state = new URLSearchParams({ operation: this.operation.name });
    for (const member of this.operation.input) {
      const value = this.values[member.wire];
      const isEmpty = value === undefined || (Array.isArray(value) && !value.length);
      if (!member.secret && !isEmpty) state.set(member.wire, writeValue(member, value));
    }
    return `#${state}`;
  }

  // --- the form

  choose(operation, values) {
    this.operation = operation;
    this.showOperation(operation);
    this.fields = makeFields(operation, { changed: () => this.changed(), lookUp: (member) => this.suggestions.listFor(member) });
    for (const field of this.fields) field.write(values[field.member.wire]);
    byId("parameters").replaceChildren(...this.fields.map((field) => field.box));
    byId("no-parameters").hidden = operation.input.length > 0;
    byId("look-up").hidden = !operation.input.some((member) => this.suggestions.listFor(member));
    this.describe();
    this.result = null;
    byId("answer").replaceChildren(element("p", { class: "soft" }, "No call was made yet."));
    byId("request-sent").replaceChildren(element("p", { class: "soft" }, "No call was made yet."));
    this.tell("");
    this.changed();
  }

  describe() {
    const { operation } = this;
    const marks = [
      operation.ours && ["ours", ""],
      operation.undocumented && ["undocumented by the provider", ""],
      operation.deprecated && ["deprecated", "warn"],
      operation.account_only && ["the account alone, or who administers for it", "warn"],
      operation.effects.join() !== "reads" && [operation.effects.map((effect) => effect.replaceAll("_", " ")).join(", "), "bad"],
    ].filter(Boolean);
    byId("about").replaceChildren(
      element("p", { class: "route" }, element("span", { class: `method ${operation.method.toLowerCase()}` }, operation.method), " ", element("code", {}, operation.path)),
      element("p", {}, `${operation.summary} ${operation.description}`),
      element("p", {}, ...marks.flatMap(([text, kind]) => [element("span", { class: `mark ${kind}` }, text), " "]), element("a", { href: `${PREFIX}/docs/api/${operation.name}` }, `Reference of ${operation.name}`)),
    );
  }

  get values() {
    const values = {};
    for (const field of this.fields) {
      const value = field.read();
      if (value !== undefined) values[field.member.wire] = value;
    }
    return values;
  }

  changed() {
    history.replaceState(null, "", this.hash());
    this.writeSamples();
  }

  tell(text) {
    byId("notice").textContent = text;
    byId("notice").hidden = !text;
  }

  async lookUp() {
    const fault = faultOfKey(this.key());
    if (fault) return this.tell(`${fault} Names are looked up by signed calls.`);
    this.tell("Looking up clusters and the people in them ...");
    return this.tell(await this.suggestions.fetch());
  }

  // --- the call

  send(operation, values) {
    return call(operation, values, { origin: ORIGIN, version: this.catalogue.version, key: this.key() });
  }

  async run() {
    const { operation, values } = this;
    const fault = faultOfKey(this.key());
    if (fault) {
      byId(this.key().id ? "key-secret" : "key-id").focus();
      return this.tell(fault);
    }
    for (const field of this.fields) {
      const wrong = faultsAmong(field.member, values).join("; ");
      field.tell(wrong && `${wrong}; the call was made all the same, and the server judges`);
      if (field.member.location === "path" && /^\.\.?$/.test(String(values[field.member.wire]))) {
        return this.tell(`${field.member.wire} cannot be ${values[field.member.wire]}: browsers and proxies fold such a part of a path away.`);
      }
    }
    if (!(await this.confirm(values))) return this.tell("Nothing was called.");
    this.tell("");
    byId("run").disabled = true;
    byId("answer").replaceChildren(element("p", { class: "soft" }, "Waiting for the answer ..."));
    this.showTab("tab-answer");
    try {
      this.result = await this.send(operation, values);
      this.showAnswer(this.result);
    } catch (error) {
      byId("answer").replaceChildren(element("p", { class: "note bad" }, `No answer came (${error.message}). Does the server run, and is its certificate trusted by this browser?`));
    } finally {
      byId("run").disabled = false;
    }
    byId("answer").focus();
    return undefined;
  }

  /** Asks before anything but reading. */
  async confirm(values) {
    const { operation, catalogue } = this;
    if (operation.effects.join() === "reads") return true;
    const { whom, where } = this.suggestions.whomAndWhere(operation, values);
    const told = operation.effects.map((effect) => catalogue.effects[effect].replaceAll("{whom}", whom).replaceAll("{where}", where));
    const answer = await ask(
      `Call ${operation.name}?`,
      [element("p", {}, operation.summary), element("ul", {}, ...told.map((text) => element("li", {}, visible(text)))), givenValues(operation, values)],
      [["no", "Do not call", ""], ["yes", "Call it", "main"]],
    );
    return answer === "yes";
  }

  // --- the answer

  showAnswer(result) {
    const { status, headers, millis, operation } = result;
    const requestId = new Map(headers).get("x-acs-request-id") ?? "";
    const line = element("p", { class: "status" },
      element("span", { class: `mark ${status < 400 ? "good" : "bad"}` }, String(status)),
      ` ${operation.name}, ${millis < 10 ? millis.toFixed(1) : Math.round(millis)} ms`,
      requestId && element("span", { class: "soft" }, `request id ${visible(requestId)}`),
    );
    const rows = headers.map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, visible(value))));
    const shown = showBody(result, (row) => this.whyOf(row, result));
    const isKnown = status >= 400 && Object.hasOwn(this.catalogue.errors, codeOf(result.body));
    byId("answer").replaceChildren(
      line,
      status >= 400 ? this.errorBox(result) : "",
      isKnown ? element("details", {}, element("summary", {}, "The answer as it came"), shown) : shown,
      element("details", {}, element("summary", {}, "Headers of the answer"), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Headers of the answer" }, element("table", {}, element("tbody", {}, ...rows)))),
    );
    this.showRequest(result);
  }

  whyOf(row, result) {
    const where = stateOf(row, result);
    return where && (() => explain(row, where, { byName: this.byName, send: (operation, given) => this.send(operation, given) }));
  }

  errorBox({ body, status, headers, request }) {
    const code = codeOf(body);
    const message = body?.Message ?? body?.message ?? "";
    const known = Object.hasOwn(this.catalogue.errors, code) ? this.catalogue.errors[code] : null;
    if (!known) return element("div", { class: "error", role: "alert" }, element("p", {}, `The answer has the status ${status} and no code that this API has.`));
    for (const field of this.fields) {
      const told = message.split(/(?<=\.)\s+/).find((sentence) => sentence.startsWith(field.member.wire));
      if (told && code === "InvalidParameter") field.tell(told.slice(field.member.wire.length).replace(/^[:\s]+|\.\s*$/g, ""));
    }
    return element("div", { class: "error", role: "alert" },
      element("h3", {}, visible(code)),
      element("p", {}, known.meaning),
      message.length <= LONG_MESSAGE ? element("p", {}, element("strong", {}, "The server says: "), visible(message)) : "",
      ...this.hints(code, body, message, headers, request),
      element("p", {}, element("strong", {}, "What to do: "), known.cure, " ", element("a", { href: `${PREFIX}/docs/errors#${encodeURIComponent(code)}` }, `More on ${code}`)),
    );
  }

  /** What is known here beyond the code. */
  hints(code, body, message, headers, request) {
    const date = Date.parse(new Map(headers).get("date") ?? "");
    const apart = Number.isNaN(date) ? 0 : Math.round((Date.now() - date) / 60_000);
    if (code === "SignatureDoesNotMatch") {
      const parted = whereTheyPart(request.steps.canonicalRequest, readTheirText(message).replaceAll("x-acs-security-token:***", `x-acs-security-token:${request.headers["x-acs-security-token"] ?? ""}`));
      return [element("p", {}, parted
        ? `The server calculated over another text than this page, from line ${parted.line} of the canonical request on: something between changed the request. It had: ${visible(parted.theirs ?? "nothing")}`
        : "The server calculated over the very text that this page signed, so the secret is not that of this access key. Give the secret again, as it was made.")];
    }
    if (code.startsWith("InvalidTimeStamp") && apart) {
      return [element("p", {}, `The clock of this machine is ${Math.abs(apart)} minutes ${apart > 0 ? "ahead of" : "behind"} the server's. Set it, then call again.`)];
    }
    const denial = body.AccessDeniedDetail;
    if (!denial) return [];
    const rows = Object.entries(denial).map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, visible(name)), element("td", {}, visible(value))));
    return [element("p", {}, `No policy of the caller allows ${visible(denial.AuthAction ?? this.operation.action)}${denial.NoPermissionType === "ExplicitDeny" ? ", or one denies it" : ""}.`), element("table", {}, element("tbody", {}, ...rows))];
  }

  showRequest({ operation, values, request: { method, target, headers, body, steps } }) {
    const hide = (text) => text.replace(/^(x-acs-security-token: ?).+$/gm, "$1***");
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const secretBody = operation.input.some((member) => member.secret && values[member.wire] !== undefined);
    byId("request-sent").replaceChildren(
      element("h3", {}, "As it was sent"),
      codeBlock(hide(`${method} ${target} HTTP/1.1\n${lines.join("\n")}\n\n${secretBody ? "(the body holds a secret)" : body}`), { label: "Request" }),
      element("h3", {}, "1. The canonical request"),
      element("p", {}, "Method, path, sorted query, the signed headers, their names, and the SHA-256 of the body, a line each."),
      codeBlock(hide(steps.canonicalRequest), { label: "Canonical request" }),
      element("h3", {}, "2. The string to sign"),
      element("p", {}, "The algorithm, and the SHA-256 of that text."),
      codeBlock(steps.stringToSign, { label: "String to sign" }),
      element("h3", {}, "3. The signature"),
      element("p", {}, "HMAC-SHA256 of the string to sign under the secret of the access key, in hex."),
      codeBlock(steps.signature, { label: "Signature" }),
      element("p", {}, element("a", { href: `${PREFIX}/explorer/signature` }, "Does a request of your own fail? See where the signatures part.")),
    );
  }

  // --- samples

  listLanguages() {
    const list = byId("languages");
    for (const language of LANGUAGES) {
      const input = element("input", { type: "radio", name: "language", value: language.id, checked: language === this.language });
      input.addEventListener("change", () => {
        this.language = language;
        this.writeSamples();
      });
      list.append(element("label", {}, input, ` ${language.title}`));
    }
  }

  writeSamples() {
    const { operation, values, language } = this;
    const sample = { operation, values, endpoint: ORIGIN, region: "local", version: this.catalogue.version, temporary: Boolean(this.key().token) };
    const written = writeSample(language, sample);
    const box = byId("sample");
    if (written.refused) return box.replaceChildren(element("p", { class: "note" }, written.refused));
    const faults = faultsOf(operation, values);
    return box.replaceChildren(
      ...(faults.length ? [element("p", { class: "note" }, `The server will refuse these values: ${faults.join("; ")}.`)] : []),
      codeBlock(written.install, { label: "How to install it" }),
      codeBlock(written.code, { label: `Sample in ${language.title}` }),
      element("p", { class: "soft" }, written.untested ?? `Tested with ${written.tested}.`, " ", written.note),
      written.raw && !written.untested ? element("p", { class: "soft" }, written.why ?? "The SDK's own method lacks something of this call, so the sample makes the SDK's raw call.") : "",
    );
  }
}
