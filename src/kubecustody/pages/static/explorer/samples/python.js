// The provider's Python SDK, blocking and asynchronous.

import { addressOf, given, givesAnswer, isJson, isTyped, layOut, quoted, sdkSnake, pascal, variableOf } from "./writing.js";

const PACKAGE = "alibabacloud-cs20151215", VERSION = "7.2.3";
const WIDTH = 88;

/** A text as Python reads it: pairs of surrogates are one letter there. */
const text = (value) => quoted(value).replace(/\\u(d[89ab]..)\\u(d[c-f]..)/g, (_, high, low) => {
  const point = (Number.parseInt(high, 16) - 0xd800) * 0x400 + (Number.parseInt(low, 16) - 0xdc00) + 0x10000;
  return `\\U${point.toString(16).padStart(8, "0")}`;
});

export function literal(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return text(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  return `{${Object.entries(value).map(([name, item]) => `${text(name)}: ${literal(item)}`).join(", ")}}`;
}

/** A call with its arguments, one a line where they do not fit into one. */
export function callOf(name, args, margin = "", room = WIDTH) {
  const flat = `${name}(${args.join(", ")})`;
  if (!args.length || (flat.length + margin.length <= room && !flat.includes("\n"))) return flat;
  const inner = `${margin}    `;
  return `${name}(\n${args.map((argument) => `${inner}${argument},\n`).join("")}${margin})`;
}

function valueOf(member, values) {
  if (!member.secret) return literal(values[member.wire]);
  const given = `os.environ[${quoted(variableOf(member))}]`;
  return isJson(member) ? `json.loads(${given})` : given;
}

function config(sample) {
  const { protocol, host } = addressOf(sample.endpoint);
  return [
    'access_key_id=os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"]',
    'access_key_secret=os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]',
    ...(sample.temporary ? ['security_token=os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"]'] : []),
    `endpoint=${text(host)}`,
    ...(protocol === "http" ? ['protocol="http"'] : []),
    `region_id=${text(sample.region)}`,
  ];
}

function typedArguments({ operation, values }, margin) {
  const path = operation.input.filter((member) => member.location === "path");
  const args = path.map((member) => literal(values[member.wire] ?? ""));
  const rest = operation.input.filter((member) => member.location !== "path" && !member.ours);
  if (!rest.length) return args;
  const fields = rest
    .filter((member) => values[member.wire] !== undefined)
    .map((member) => `${member.name}=${modelsOf(operation, member, values, `${margin}    `)}`);
  return [...args, callOf(`models.${operation.name}Request`, fields, `${margin}    `)];
}

/** A member's value; objects of the body become the SDK's models. */
function modelsOf(operation, member, values, margin) {
  const value = values[member.wire];
  if (member.location !== "body" || member.kind !== "array" || !member.members || !Array.isArray(value)) return valueOf(member, values);
  const model = `models.${operation.name}Request${pascal(member.name)}`;
  const items = value.map((item) => {
    const known = member.members.filter((one) => one.wire in item);
    return callOf(model, known.map((one) => `${one.name}=${literal(item[one.wire])}`), `${margin}        `);
  });
  return items.length ? `[\n${items.map((item) => `${margin}        ${item},\n`).join("")}${margin}    ]` : "[]";
}

function rawArguments(sample, margin) {
  const { operation, values } = sample;
  const { path, query } = layOut(operation, values);
  const fields = [];
  if (query.length) fields.push(`query={${query.map(([name, value]) => `${text(name)}: ${text(value)}`).join(", ")}}`);
  const body = given(sample, "body");
  const whole = body.find((member) => member.whole);
  if (whole) fields.push(`body=${literal(values[whole.wire])}`);
  else if (body.length) {
    const members = body.map((member) => `${margin}            ${text(member.wire)}: ${valueOf(member, values)},\n`);
    fields.push(`body={\n${members.join("")}${margin}        }`);
  }
  const params = [
    `action=${text(operation.name)}`,
    `version=${text(sample.version)}`,
    'protocol="HTTPS"',
    `pathname=${text(path)}`,
    `method=${text(operation.method)}`,
    'auth_type="AK"',
    'style="ROA"',
    'req_body_type="json"',
    `body_type="${operation.answers_array ? "array" : "json"}"`,
  ];
  const inner = `${margin}    `;
  return [callOf("Params", params, inner), callOf("OpenApiRequest", fields, inner), "RuntimeOptions()"];
}

function printed({ operation }, typed) {
  if (!givesAnswer(operation, typed)) return typed ? "print(answer.status_code)" : 'print(answer["statusCode"])';
  let body = 'answer["body"]';
  if (typed) {
    body = "answer.body.to_map()";
    if (operation.returns_list) body = "[item.to_map() for item in answer.body]";
    else if (operation.answers_array) body = "answer.body";
  }
  return `print(json.dumps(${body}, indent=2, ensure_ascii=False))`;
}

function write(sample, isAsync) {
  const { operation } = sample;
  const typed = isTyped(sample);
  const margin = isAsync ? "    " : "";
  const suffix = isAsync ? "_async" : "";
  const hasModels = typed && operation.input.some((member) => member.location !== "path" && !member.ours);
  const imports = [
    ...(isAsync ? ["import asyncio"] : []),
    ...(givesAnswer(operation, typed) ? ["import json"] : []),
    "import os",
    "",
    ...(hasModels ? ["from alibabacloud_cs20151215 import models"] : []),
    "from alibabacloud_cs20151215.client import Client",
    `from alibabacloud_tea_openapi.utils_models import ${typed ? "Config" : "Config, OpenApiRequest, Params"}`,
    ...(typed ? [] : ["from darabonba.runtime import RuntimeOptions"]),
  ];
  const name = typed ? `client.${sdkSnake(operation.name)}${suffix}` : `client.call_api${suffix}`;
  const args = typed ? typedArguments(sample, margin) : rawArguments(sample, margin);
  const client = `client = Client(\n${margin}    Config(\n${config(sample).map((line) => `${margin}        ${line},\n`).join("")}${margin}    )\n${margin})`;
  const steps = [client, `answer = ${isAsync ? "await " : ""}${callOf(name, args, margin)}`, printed(sample, typed)];
  const code = isAsync
    ? `${imports.join("\n")}\n\n\nasync def main() -> None:\n${steps.map((step) => `    ${step}\n`).join("")}\n\nasyncio.run(main())\n`
    : `${imports.join("\n")}\n\n${steps.join("\n")}\n`;
  return {
    install: `pip install ${PACKAGE}==${VERSION}`,
    tested: `${PACKAGE} ${VERSION}`,
    note: "Where the server has a root certificate of its own: export SSL_CERT_FILE=root.pem",
    raw: !typed,
    code,
  };
}

export const python = { id: "python", title: "Python", file: "sample.py", write: (sample) => write(sample, false) };
export const pythonAsync = { id: "python-async", title: "Python, asynchronous", file: "sample.py", write: (sample) => write(sample, true) };
