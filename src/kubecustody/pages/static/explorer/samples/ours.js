// This project's own Python client.

import { callOf, literal } from "./python.js";
import { isJson, quoted, snake, variableOf } from "./writing.js";

function valueOf(member, values, shapes) {
  const value = values[member.wire];
  const secret = `os.environ[${quoted(variableOf(member))}]`;
  if (member.secret && !isJson(member)) return secret;
  if (member.secret) {
    shapes.set(member.shape, member.module);
    return `msgspec.json.decode(${secret}, type=list[${member.shape}])`;
  }
  if (!member.members || !Array.isArray(value)) return literal(value);
  shapes.set(member.shape, member.module);
  const items = value.map((item) => {
    const known = member.members.filter((one) => one.wire in item);
    return callOf(member.shape, known.map((one) => `${one.name}=${literal(item[one.wire])}`), "            ");
  });
  return items.length ? `[\n${items.map((item) => `            ${item},\n`).join("")}        ]` : "[]";
}

function write(sample) {
  const { operation, values, endpoint, temporary } = sample;
  const shapes = new Map();
  const args = operation.input
    .filter((member) => values[member.wire] !== undefined || (member.required && member.location === "path"))
    .map((member) => `${member.name}=${values[member.wire] === undefined ? '""' : valueOf(member, values, shapes)}`);
  const call = `client.${snake(operation.name)}`;
  const settings = [
    literal(endpoint),
    'os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"]',
    'os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]',
    ...(temporary ? ['security_token=os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"]'] : []),
  ];
  const step = operation.output ? `answer = ${callOf(call, args, "    ")}` : callOf(call, args, "    ");
  const code = `import os

${operation.output ? "import msgspec\n\n" : ""}${[...shapes].map(([shape, module]) => `from ${module} import ${shape}\n`).join("")}from kubecustody.client import Client, Endpoint

endpoint = Endpoint(
${settings.map((line) => `    ${line},\n`).join("")})
with Client(endpoint) as client:
    ${step}
${operation.output ? "print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())\n" : 'print("done")\n'}`;
  return {
    install: "# this project: `scripts/setup demo`, then .venv/bin/python has it",
    tested: "this version",
    note: 'Where the server has a root certificate of its own: Endpoint(..., ca_file=Path("root.pem"))',
    raw: false,
    code,
  };
}

export const kubecustodyPython = { id: "kubecustody-python", title: "Python, ours", file: "sample.py", write };
