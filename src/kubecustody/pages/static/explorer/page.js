// What both pages of the explorer begin with: the catalogue, and whether this browser can sign here.

import { byId } from "./dom.js";

export const PREFIX = document.documentElement.dataset.prefix ?? "";

export const fetchCatalogue = async () => (await fetch(`${PREFIX}/explorer/catalogue.json`)).json();

/** Why nothing can be signed in this page, and what to do; "" where it can. */
export function whyNoSignature() {
  if (globalThis.crypto?.subtle) return "";
  if (!globalThis.isSecureContext) {
    return (
      `This page came over plain HTTP from ${location.host}, and browsers sign (WebCrypto) only on pages that came over HTTPS or from this very machine. ` +
      "Open it by https://, or bring it to this machine by a tunnel (ssh -L 8443:127.0.0.1:PORT HOST) and open it as http://localhost:8443."
    );
  }
  return "This browser has no WebCrypto, which signs the requests. Use a current version of Firefox, Chrome, Edge or Safari.";
}

/** Shows the page, or why it cannot work. */
export async function begin(start) {
  const unable = byId("unable");
  const tell = (text) => {
    unable.textContent = text;
    unable.hidden = false;
  };
  const why = whyNoSignature();
  if (why) return tell(why);
  let catalogue;
  try {
    catalogue = await fetchCatalogue();
  } catch {
    return tell("The description of the operations could not be loaded from this server. Load the page again.");
  }
  start(catalogue);
  byId("explorer").hidden = false;
  document.documentElement.dataset.ready = "true";
  return undefined;
}

/** A key that cannot be sent, in words; "" where it can. */
export function faultOfKey({ id, secret, token }) {
  const plain = (text) => /^[\x21-\x7e]*$/.test(text);
  if (!id || !secret) return "Give an access key id and its secret.";
  if (!plain(id) || !plain(secret) || !plain(token)) return "Access key id, secret and token are ASCII without blanks; give them as they were made.";
  return "";
}

