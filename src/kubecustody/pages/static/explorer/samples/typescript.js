// The provider's Node SDK, from TypeScript.

import { addressOf, camel, given, givesAnswer, isJson, isTyped, layOut, lowerFirst, pascal, quoted, variableOf } from "./writing.js";

const VERSIONS = { cs: "7.2.0", core: "1.0.8" };

export function literal(value, margin = "") {
  if (value === null || typeof value !== "object") return typeof value === "string" ? quoted(value) : String(value);
  if (Array.isArray(value)) return `[${value.map((item) => literal(item, margin)).join(", ")}]`;
  return `{ ${Object.entries(value).map(([name, item]) => `${nameOf(name)}: ${literal(item, margin)}`).join(", ")} }`;
}

const nameOf = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : quoted(name));
function valueOf(member, values) {
  if (!member.secret) return literal(values[member.wire]);
  const given = `process.env.${variableOf(member)}`;
  return isJson(member) ? `JSON.parse(${given} ?? "null")` : given;
}
const ROOM = 80;

/** An object with its fields, one a line where they do not fit into one. */
function object(fields) {
  const flat = `{ ${fields.join(", ")} }`;
  if (flat.length <= ROOM && !flat.includes("\n")) return fields.length ? flat : "{}";
  return `{\n${fields.map((field) => `    ${field},\n`).join("")}  }`;
}

const callOf = (name, args) => {
  const flat = `${name}(${args.join(", ")})`;
  return flat.length <= ROOM && !flat.includes("\n") ? flat : `${name}(\n${args.map((argument) => `  ${argument},\n`).join("")})`;
};

function config(sample) {
  const { protocol, host } = addressOf(sample.endpoint);
  return [
    "accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID",
    "accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    ...(sample.temporary ? ["securityToken: process.env.ALIBABA_CLOUD_SECURITY_TOKEN"] : []),
    `endpoint: ${quoted(host)}`,
    ...(protocol === "http" ? ['protocol: "http"'] : []),
    `regionId: ${quoted(sample.region)}`,
  ];
}

function fieldOf(operation, member, values) {
  const value = values[member.wire];
  const name = camel(member.name);
  if (member.location !== "body" || !member.members || !Array.isArray(value)) return `${name}: ${valueOf(member, values)}`;
  const model = `$cs.${operation.name}Request${pascal(member.name)}`;
  const items = value.map((item) => {
    const known = member.members.filter((one) => one.wire in item);
    return `      new ${model}({ ${known.map((one) => `${camel(one.name)}: ${literal(item[one.wire])}`).join(", ")} }),\n`;
  });
  return items.length ? `${name}: [\n${items.join("")}    ]` : `${name}: []`;
}

function typedCall({ operation, values }) {
  const args = operation.input.filter((member) => member.location === "path").map((member) => quoted(values[member.wire] ?? ""));
  const rest = operation.input.filter((member) => member.location !== "path" && !member.ours);
  if (rest.length) {
    const fields = rest.filter((member) => values[member.wire] !== undefined).map((member) => fieldOf(operation, member, values));
    args.push(`new $cs.${operation.name}Request(${object(fields)})`);
  }
  return callOf(`client.${lowerFirst(operation.name)}`, args);
}

function rawCall(sample) {
  const { operation, values, version } = sample;
  const { path, query } = layOut(operation, values);
  const params = object([
    `action: ${quoted(operation.name)}`,
    `version: ${quoted(version)}`,
    'protocol: "HTTPS"',
    `pathname: ${quoted(path)}`,
    `method: ${quoted(operation.method)}`,
    'authType: "AK"',
    'style: "ROA"',
    'reqBodyType: "json"',
    `bodyType: "${operation.answers_array ? "array" : "json"}"`,
  ]);
  const body = given(sample, "body");
  const whole = body.find((member) => member.whole);
  const fields = [];
  if (query.length) fields.push(`query: { ${query.map(([name, value]) => `${nameOf(name)}: ${quoted(value)}`).join(", ")} }`);
  if (whole) fields.push(`body: ${literal(values[whole.wire])}`);
  else if (body.length) fields.push(`body: {\n${body.map((member) => `      ${nameOf(member.wire)}: ${valueOf(member, values)},\n`).join("")}    }`);
  const request = `new $OpenApiUtil.OpenApiRequest(${object(fields)})`;
  return callOf("client.callApi", [`new $OpenApiUtil.Params(${params})`, request, "new $dara.RuntimeOptions({})"]);
}

function printed({ operation }, typed) {
  if (!givesAnswer(operation, typed)) return "console.log(answer.statusCode);";
  let body = "answer.body";
  if (typed && operation.returns_list) body = "answer.body?.map((item) => item.toMap())";
  else if (typed && !operation.answers_array) body = "answer.body?.toMap()";
  return `console.log(JSON.stringify(${body}, null, 2));`;
}

function write(sample) {
  const typed = isTyped(sample);
  const hasModels = typed && sample.operation.input.some((member) => member.location !== "path" && !member.ours);
  const imports = [
    `import Client${hasModels ? ", * as $cs" : ""} from "@alicloud/cs20151215";`,
    'import { $OpenApiUtil } from "@alicloud/openapi-core";',
    ...(typed ? [] : ['import * as $dara from "@darabonba/typescript";']),
  ];
  const call = (typed ? typedCall(sample) : rawCall(sample)).replace(/\n/g, "\n  ");
  const code = `${imports.join("\n")}

async function main(): Promise<void> {
  const client = new Client(
    new $OpenApiUtil.Config({
${config(sample).map((line) => `      ${line},\n`).join("")}    }),
  );
  const answer = await ${call};
  ${printed(sample, typed)}
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
`;
  return {
    install: `npm install @alicloud/cs20151215@${VERSIONS.cs} @alicloud/openapi-core@${VERSIONS.core}`,
    tested: `@alicloud/cs20151215 ${VERSIONS.cs}, @alicloud/openapi-core ${VERSIONS.core}`,
    note: "Where the server has a root certificate of its own: export NODE_EXTRA_CA_CERTS=root.pem",
    raw: !typed,
    code,
  };
}

export const typescript = { id: "typescript", title: "TypeScript", file: "sample.ts", write };
