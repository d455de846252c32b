// What every page gains where scripts run: a button beside each block of code that copies it.

function addCopyButton(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.textContent.replace(/^\$ /gm, ""));
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
