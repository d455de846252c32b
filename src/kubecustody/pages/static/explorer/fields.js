// The form of an operation, made from the catalogue. Each field: its element, its value, and how to set it.

import { element, newId } from "./dom.js";
import { faultOf, readValue, writeValue } from "./requests.js";

const LONG = 1000;

/** In words: what may stand here. */
function boundsOf(member) {
  const parts = [];
  if (member.kind === "integer") {
    parts.push("integer");
    if (member.minimum !== null && member.maximum !== null) parts.push(`${member.minimum} to ${member.maximum}`);
    else if (member.minimum !== null) parts.push(`at least ${member.minimum}`);
  } else if (member.kind === "array") {
    parts.push(member.location === "query" ? "separated by commas" : "list");
    if (member.most !== null) parts.push(`at most ${member.most}`);
  } else if (member.kind === "boolean") parts.push("boolean");
  else if (member.must !== null) parts.push(`it must be ${member.must}`);
  else if (member.most !== null) parts.push(`at most ${member.most} characters`);
  if (member.default !== null && member.default !== "" && !member.required) parts.push(`default ${member.default}`);
  const sentences = [parts.join(", "), member.excludes.length && `it does not go with ${member.excludes.join(" or ")}`];
  return sentences.filter(Boolean).map((text) => `${text[0].toUpperCase()}${text.slice(1)}.`).join(" ");
}

function choices(member) {
  const values = member.values ? Object.entries(member.values) : [["true", ""], ["false", ""]];
  const none = member.required ? "(choose)" : member.default === null || member.default === "" ? "(left out)" : `(left out: ${member.default})`;
  return element("select", {}, element("option", { value: "" }, none), ...values.map(([value]) => element("option", { value }, value)));
}

function inputFor(member) {
  if (member.values || member.kind === "boolean") return choices(member);
  const plain = { autocomplete: "off", spellcheck: "false", autocapitalize: "off" };
  if (member.kind === "string" && member.most >= LONG) {
    return element("textarea", { ...plain, rows: "5", class: member.secret ? "masked" : undefined });
  }
  return element("input", {
    ...plain,
    type: "text",
    inputmode: member.kind === "integer" ? "numeric" : undefined,
    placeholder: member.example && !member.secret ? `such as ${member.example.slice(0, 60)}` : undefined,
  });
}

/** A field for one value. `lookUp(member)` gives the id of a list with suggestions, or "". */
function plainField(member, { changed, lookUp }) {
  const input = inputFor(member);
  input.id = newId("field");
  input.name = member.wire;
  const about = element("p", { class: "about", id: newId("about") }, member.doc, " ", element("span", { class: "soft" }, boundsOf(member)));
  const fault = element("p", { class: "fault", id: newId("fault"), hidden: true });
  input.setAttribute("aria-describedby", `${about.id} ${fault.id}`);
  const list = input.tagName === "INPUT" ? lookUp(member) : "";
  if (list) input.setAttribute("list", list);
  const values = member.values && element("dl", { class: "values" }, ...Object.entries(member.values).flatMap(([value, meaning]) => [element("dt", {}, value), element("dd", {}, meaning)]));
  const label = element("label", { for: input.id }, element("span", { class: "name" }, member.wire));
  if (member.required && !member.may_be_empty) label.append(element("span", { class: "mark warn" }, "required"));
  if (member.ours) label.append(element("span", { class: "mark" }, "ours"));
  if (member.secret) label.append(element("span", { class: "mark bad" }, "secret"));
  const box = element("div", { class: "field" }, label, input, about, values && element("details", {}, element("summary", {}, "What the values mean"), values), fault);
  const read = () => readValue(member, input.value);
  const tell = (text) => {
    fault.textContent = text && `${member.wire} ${text}.`;
    fault.hidden = !text;
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  // While it is typed: a fault that came as the focus leaves would move the button that is being pressed.
  input.addEventListener("input", () => { tell(input.value === "" ? "" : faultOf(member, read())); changed(); });
  return { member, box, input, read, tell, write: (value) => { input.value = writeValue(member, value); tell(""); } };
}

/** A field for a list of objects: a group of fields for each entry. */
function entriesField(member, context) {
  const entries = [];
  const list = element("div", { class: "entries" });
  const add = element("button", { type: "button" }, `Add an entry to ${member.wire}`);
  const fault = element("p", { class: "fault", hidden: true });
  const renumber = () => entries.forEach((entry, place) => { entry.legend.textContent = `${member.wire} ${place + 1}`; });

  function addEntry(value = {}) {
    const fields = member.members.map((one) => plainField({ ...one, location: "body" }, context));
    const legend = element("legend", {});
    const remove = element("button", { type: "button", class: "small" }, "Remove this entry");
    const box = element("fieldset", {}, legend, ...fields.map((field) => field.box), remove);
    const entry = { fields, legend, box };
    remove.addEventListener("click", () => {
      entries.splice(entries.indexOf(entry), 1);
      box.remove();
      renumber();
      add.focus();
      context.changed();
    });
    for (const field of fields) field.write(value?.[field.member.wire]);
    entries.push(entry);
    list.append(box);
    renumber();
    return entry;
  }

  add.addEventListener("click", () => {
    const entry = addEntry();
    entry.fields[0].input.focus();
    context.changed();
  });
  const read = () => {
    if (!entries.length) return member.whole ? [] : undefined;
    return entries.map(({ fields }) => Object.fromEntries(fields.map((field) => [field.member.wire, field.read()]).filter(([, value]) => value !== undefined)));
  };
  const write = (value) => {
    entries.length = 0;
    list.replaceChildren();
    if (Array.isArray(value)) value.filter((item) => item && typeof item === "object").forEach(addEntry);
  };
  const tell = (text) => {
    fault.textContent = text && `${member.wire} ${text}.`;
    fault.hidden = !text;
  };
  const about = element("p", { class: "about" }, member.doc);
  const box = element("fieldset", { class: "field group" }, element("legend", {}, element("span", { class: "name" }, member.wire)), about, list, add, fault);
  return { member, box, input: add, read, tell, write };
}

/** The fields of an operation, in its order. */
export const makeFields = (operation, context) =>
  operation.input.map((member) => (member.members ? entriesField : plainField)(member, context));
