// Elements are made by the DOM alone: a text is never read as HTML.

/** An element. properties: `class`, `on` (handlers by event), aria-*, data-* and other attributes; children: nodes, texts. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child || child === 0));
  return made;
}

export const byId = (id) => document.getElementById(id);

let lastId = 0;
export const newId = (prefix) => `${prefix}-${++lastId}`;

/** A button that copies what `text` returns. */
export function copyButton(text, title = "Copy") {
  const button = element("button", { type: "button" }, title);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it and copy by keyboard";
    }
    setTimeout(() => { button.textContent = title; }, 2000);
  });
  return button;
}

/** A block of code with its button. */
export function codeBlock(text, { label } = {}) {
  const button = copyButton(() => text);
  button.className = "copy";
  return element("div", { class: "code" }, element("pre", { tabindex: "0", "aria-label": label, role: label && "group" }, element("code", {}, text)), button);
}

/** What characters that change the order or cannot be seen look like. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A value as it is shown: what cannot be seen by its code, so that no name looks like another. */
export const visible = (text) => String(text).replace(UNSEEN, (letter) => `\u2423U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}\u2423`);

/** Makes `tabs` (buttons) and their panels work as tabs: arrows, Home and End move between them. */
export function makeTabs(list) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  const show = (tab, focus) => {
    for (const one of tabs) {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
      byId(one.getAttribute("aria-controls")).hidden = one !== tab;
    }
    if (focus) tab.focus();
  };
  for (const [place, tab] of tabs.entries()) {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(tabs.at(to % tabs.length), true);
    });
  }
  show(tabs[0]);
  return (id) => show(byId(id));
}

/** Shows a dialog with these parts and resolves to what it was closed with. One to be read begins at its title, one that
 * asks at its first button. */
export function ask(title, parts, buttons, { toRead = false } = {}) {
  const id = newId("dialog");
  const dialog = element("dialog", { "aria-labelledby": id }, element("h2", { id, tabindex: toRead && "-1", autofocus: toRead }, title), ...parts);
  const form = element("form", { method: "dialog", class: "actions" });
  for (const [value, text, kind] of buttons) form.append(element("button", { value, class: kind }, text));
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}
