// curl, with the signature made by openssl; the provider's command line; and this project's.

import { canonicalQuery } from "../signing.js";
import { writeValue } from "../requests.js";
import { addressOf, given, holdsSecret, isJson, layOut, variableOf } from "./writing.js";

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;
const bytesEscaped = (letter) => Array.from(new TextEncoder().encode(letter), (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");

/** A word of bash. What a terminal would act on is written by its bytes. */
export function word(text) {
  const value = String(text);
  if (/^[A-Za-z0-9_\-.,:/@%+=]+$/.test(value)) return value;
  if (value.search(UNSEEN) < 0) return `'${value.replaceAll("'", "'\\''")}'`;
  return `$'${value.replace(/[\\']/g, "\\$&").replace(UNSEEN, bytesEscaped)}'`;
}

/** The assignment of `body`. A secret member is put in where the script runs. */
function bodyOf(sample) {
  const { operation, values } = sample;
  const secrets = given(sample, "body").filter((member) => member.secret);
  if (!secrets.length) return `body=${word(layOut(operation, values).body)}`;
  const marked = { ...values };
  for (const member of secrets) marked[member.wire] = `@${variableOf(member)}@`;
  let text = word(layOut(operation, marked).body);
  const lines = ["json_text() { local text=${1//\\\\/\\\\\\\\}; text=${text//\\\"/\\\\\\\"}; text=${text//$'\\t'/\\\\t}; printf %s \"${text//$'\\n'/\\\\n}\"; }"];
  const opening = text.startsWith("$") ? "$'" : "'";
  for (const member of secrets) {
    const [marker, value] = isJson(member) ? [`"@${variableOf(member)}@"`, `$${variableOf(member)}`] : [`@${variableOf(member)}@`, `$(json_text "$${variableOf(member)}")`];
    text = text.replace(marker, () => `'"${value}"${opening}`);
  }
  return [...lines, `body=${text}`].join("\n");
}

function writeCurl(sample) {
  const { operation, temporary, version, endpoint } = sample;
  const { protocol, host } = addressOf(endpoint);
  const { path, query, body } = layOut(operation, sample.values);
  const names = ["host", "x-acs-action", "x-acs-content-sha256", "x-acs-date"];
  if (temporary) names.push("x-acs-security-token");
  names.push("x-acs-signature-nonce", "x-acs-version");
  if (body) names.unshift("content-type");
  const queryText = canonicalQuery(query);
  const values = {
    "content-type": "application/json; charset=utf-8",
    host: "$host",
    "x-acs-action": operation.name,
    "x-acs-content-sha256": "$hash",
    "x-acs-date": "$date",
    "x-acs-security-token": "$ALIBABA_CLOUD_SECURITY_TOKEN",
    "x-acs-signature-nonce": "$nonce",
    "x-acs-version": version,
  };
  const code = `#!/usr/bin/env bash
set -euo pipefail
: "\${ALIBABA_CLOUD_ACCESS_KEY_ID:?}" "\${ALIBABA_CLOUD_ACCESS_KEY_SECRET:?}"${temporary ? ' "${ALIBABA_CLOUD_SECURITY_TOKEN:?}"' : ""}
secret=$ALIBABA_CLOUD_ACCESS_KEY_SECRET

host=${word(host)}
path=${word(path)}
query=${word(queryText)}
${bodyOf(sample)}

sha256() { openssl dgst -sha256 -r | cut -d' ' -f1; }
# HMAC-SHA256 from two hashes (RFC 2104), so that the secret is no program's argument.
pad() {
  local at code bytes=
  for ((at = 0; at < 64; at++)); do
    code=0
    ((at >= \${#secret})) || printf -v code %d "'\${secret:at:1}"
    printf -v code '\\\\x%02x' $((code ^ $1))
    bytes+=$code
  done
  printf "$bytes"
}
hmac_sha256() { { pad 0x5c; { pad 0x36; cat; } | openssl dgst -sha256 -binary; } | sha256; }

hash=$(printf %s "$body" | sha256)
date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
nonce=$(openssl rand -hex 16)
headers="${names.map((name) => `${name}:${values[name]}`).join("\n")}"
names=${word(names.join(";"))}
canonical=$(printf '%s\\n' ${operation.method} "$path" "$query" "$headers" "" "$names" "$hash")
signature=$(printf 'ACS3-HMAC-SHA256\\n%s' "$(printf %s "$canonical" | sha256)" | hmac_sha256)

curl --silent --show-error --fail-with-body --path-as-is --request ${operation.method} "${protocol}://$host$path\${query:+?$query}" \\
  --header @<(printf '%s\\n' "$headers" "authorization: ACS3-HMAC-SHA256 Credential=$ALIBABA_CLOUD_ACCESS_KEY_ID,SignedHeaders=$names,Signature=$signature")${body ? " \\\n  --data-binary @<(printf %s \"$body\")" : ""}
`;
  return {
    install: "# bash, curl 7.76 or later and openssl",
    tested: "bash 5.2, curl 7.88, OpenSSL 3.0",
    note: "Where the server has a root certificate of its own: add --cacert root.pem",
    raw: false,
    code,
  };
}

const SECRET_ARGUMENT = "A secret must not be an argument of a command, which others on the machine can see. Take another sample.";

function writeAliyun(sample) {
  const { operation, endpoint, region } = sample;
  const { protocol, host } = addressOf(endpoint);
  const { path, query, body } = layOut(operation, sample.values);
  const lines = [`aliyun cs ${operation.method} ${word(path)}`, `--endpoint ${word(host)} --region ${word(region)} --force`];
  if (protocol === "http") lines[1] += " --insecure";
  for (const [name, value] of query) lines.push(`--${name} ${word(value)}`);
  if (body) lines.push(`--header 'Content-Type=application/json' --body ${word(body)}`);
  return {
    install: "# https://github.com/aliyun/aliyun-cli",
    tested: "",
    untested: "This sample has not been run: the command line could not be built where it was written.",
    note: "It takes the access key from the same environment variables, or from its own configuration.",
    refused: holdsSecret(sample) ? SECRET_ARGUMENT : "",
    raw: true,
    code: `${lines.join(" \\\n  ")}\n`,
  };
}

function writeKubecustody(sample) {
  const { operation, values, endpoint } = sample;
  const words = operation.input
    .filter((member) => values[member.wire] !== undefined)
    .map((member) => word(`${member.wire}=${writeValue(member, values[member.wire])}`));
  return {
    install: "# this project: `scripts/setup demo`, then .venv/bin is where the command is",
    tested: "this version",
    note: "Where the server has a root certificate of its own: --ca root.pem",
    refused: holdsSecret(sample) ? SECRET_ARGUMENT : "",
    raw: false,
    code: `export KUBECUSTODY_ENDPOINT=${word(endpoint)}\nkubecustody call ${[operation.name, ...words].join(" ")}\n`,
  };
}

export const curl = { id: "curl", title: "curl", file: "sample.sh", write: writeCurl };
export const aliyun = { id: "aliyun", title: "aliyun", file: "sample.sh", write: writeAliyun };
export const kubecustody = { id: "kubecustody", title: "kubecustody", file: "sample.sh", write: writeKubecustody };
