// What every page gains where scripts run: a button beside each block of code that copies it.

// Of a console block its commands alone, without prompt and without what they print.
function copied(text) {
  if (!/^\$ /m.test(text)) return text;
  const commands = text.match(/^\$ (?:.*\\\n)*.*/gm);
  return commands.map((command) => command.slice(2)).join("\n") + "\n";
}

function addCopyButton(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(copied(block.textContent));
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it and copy by keyboard";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  const frame = document.createElement("div");
  frame.className = "code";
  block.replaceWith(frame);
  frame.append(block, button);
}

for (const block of document.querySelectorAll("main pre:not(.answer)")) addCopyButton(block);
