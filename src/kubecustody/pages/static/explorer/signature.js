// The page that compares signatures: a failing request is pasted, and the page says where the signatures part.

import { inspect } from "./comparing.js";
import { byId, codeBlock, element, visible } from "./dom.js";
import { begin } from "./page.js";

begin((catalogue) => {
  byId("compare").addEventListener("submit", async (event) => {
    event.preventDefault();
    const box = byId("finding");
    try {
      const found = await inspect(byId("pasted").value, { secret: byId("secret").value, theirs: byId("theirs").value, catalogue });
      box.replaceChildren(...show(found));
    } catch (error) {
      box.replaceChildren(element("p", { class: "note bad" }, `${visible(error.message)}. Paste it as it went over the wire, or as curl -v prints it.`.replace("..", ".")));
    }
    box.focus();
  });
  window.addEventListener("pagehide", () => { byId("secret").value = ""; });
});

const hide = (text) => text.replace(/^(x-acs-security-token:).+$/gm, "$1***");

function verdict({ holds, mistake, parted }) {
  if (holds) return ["good", "The signature holds: it is what this secret gives for this request. Whatever else the server refuses, it is not the signature."];
  if (mistake) return ["bad", `The signatures part: the client signed ${mistake.join("; and ")}.`];
  if (parted) return ["bad", `The texts part at line ${parted.line}, column ${parted.column}.`];
  if (holds === false) return ["bad", "This secret does not give this signature, and no usual mistake explains it. The secret is another key's, or something changed the request after it was signed. Paste the canonical request that your client made to see where they part."];
  return ["", "Give the secret, or the text that your client signed, to see where the signatures part."];
}

function show(found) {
  const [kind, text] = verdict(found);
  const parts = [element("p", { class: `note ${kind}` }, text)];
  if (found.parted) {
    const { line, column, ours, theirs } = found.parted;
    const marked = (value) => value === null ? element("span", { class: "soft" }, "(no such line)") : element("code", {}, visible(value.slice(0, column - 1)), element("mark", {}, visible(value.slice(column - 1)) || "(ends here)"));
    parts.push(element("table", {}, element("tbody", {},
      element("tr", {}, element("th", { scope: "row" }, `The server's, line ${line}`), element("td", {}, marked(ours))),
      element("tr", {}, element("th", { scope: "row" }, "The client's"), element("td", {}, marked(theirs))),
    )));
  }
  parts.push(element("h2", {}, "Step by step"), element("ol", { class: "checks" }, ...found.checks.map((check) =>
    element("li", {}, element("span", { class: `mark ${check.ok ? "good" : "bad"}` }, check.ok ? "good" : "wrong"), ` ${visible(check.text)}`))));
  if (found.canonicalRequest) {
    parts.push(element("h2", {}, "What the server signs"), element("h3", {}, "Canonical request"), codeBlock(hide(found.canonicalRequest), { label: "Canonical request" }), element("h3", {}, "String to sign"), codeBlock(found.stringToSign, { label: "String to sign" }));
  }
  return parts;
}
