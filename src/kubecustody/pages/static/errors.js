// The search of the error centre, as one types. Without scripts the form asks the server for the same.

const form = document.getElementById("error-search");
const field = form.elements.q;
const count = document.getElementById("error-count");
const hint = document.getElementById("error-request");
const entries = [...document.querySelectorAll("#error-list .error")].map((element) => ({
  element,
  text: element.textContent.toLowerCase(),
}));
const REQUEST_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function show() {
  const wanted = field.value.trim();
  const isRequest = REQUEST_ID.test(wanted);
  hint.hidden = !isRequest;
  if (isRequest) {
    const link = hint.querySelector("a");
    link.hash = `operation=DescribeRequestError&RequestId=${encodeURIComponent(wanted.toUpperCase())}`;
  }
  const words = isRequest ? [] : wanted.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { element, text } of entries) {
    element.hidden = !words.every((word) => text.includes(word));
    shown += !element.hidden;
  }
  count.textContent = words.length ? `${shown} of ${entries.length} codes` : "";
}

form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
field.addEventListener("input", show);
show();
