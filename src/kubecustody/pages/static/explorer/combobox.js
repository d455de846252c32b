// Finding an operation by keyboard: the ARIA pattern of an editable combobox with a list.

import { element, newId } from "./dom.js";

/** How well an operation fits the words: lower is better, Infinity not at all. */
export function rank(operation, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const name = operation.name.toLowerCase();
  const all = `${name} ${operation.summary} ${operation.path} ${operation.method}`.toLowerCase();
  if (!words.every((word) => all.includes(word))) return Infinity;
  if (!words.length || name === words[0]) return 0;
  return name.startsWith(words[0]) ? 1 : words.every((word) => name.includes(word)) ? 2 : 3;
}

/** Makes `input` find among operations; `chosen` is told which one was taken. Returns a function that shows one. */
export function makeCombobox(input, list, operations, chosen) {
  let current = null;
  let options = [];
  let active = -1;

  const isOpen = () => !list.hidden;

  function close() {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function open(text) {
    const found = operations
      .map((operation, place) => ({ operation, place, fit: rank(operation, text) }))
      .filter(({ fit }) => fit < Infinity)
      .sort((one, other) => one.fit - other.fit || one.place - other.place);
    options = found.map(({ operation }) => {
      const option = element("li", { role: "option", id: newId("option"), "aria-selected": "false" },
        element("span", { class: "option-name" }, operation.name),
        element("span", { class: `method ${operation.method.toLowerCase()}` }, operation.method),
        element("span", { class: "option-summary" }, operation.summary),
      );
      // Before the input loses the focus.
      option.addEventListener("mousedown", (event) => { event.preventDefault(); take(operation); });
      return { operation, option };
    });
    list.replaceChildren(...options.map(({ option }) => option));
    if (!options.length) list.append(element("li", { class: "soft", role: "option", "aria-disabled": "true" }, "No operation has these words."));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    move(text && options.length ? 0 : options.findIndex(({ operation }) => operation === current));
  }

  function move(to) {
    if (options[active]) options[active].option.setAttribute("aria-selected", "false");
    active = to;
    const now = options[active];
    if (!now) return input.removeAttribute("aria-activedescendant");
    now.option.setAttribute("aria-selected", "true");
    now.option.scrollIntoView({ block: "nearest" });
    return input.setAttribute("aria-activedescendant", now.option.id);
  }

  function show(operation) {
    current = operation;
    input.value = operation.name;
  }

  function take(operation) {
    show(operation);
    close();
    chosen(operation);
  }

  input.addEventListener("focus", () => input.select());
  input.addEventListener("input", () => open(input.value.trim()));
  input.addEventListener("click", () => { if (!isOpen()) open(""); });
  input.addEventListener("blur", () => {
    close();
    if (current) input.value = current.name;
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen()) return open(input.value === current?.name ? "" : input.value.trim());
      const step = event.key === "ArrowDown" ? 1 : -1;
      return options.length ? move((active + step + options.length) % options.length) : undefined;
    }
    if (event.key === "Enter") {
      event.preventDefault();
      if (isOpen() && options[active]) take(options[active].operation);
    } else if (event.key === "Escape" && isOpen()) {
      event.preventDefault();
      close();
      if (current) show(current);
      input.select();
    }
    return undefined;
  });
  return show;
}
