// The provider's Go SDK.

import { addressOf, given, givesAnswer, isJson, isTyped, layOut, pascal, quoted, variableOf } from "./writing.js";

const MODULE = "github.com/alibabacloud-go/cs-20151215/v5", VERSION = "v5.7.2";

// What this version cannot send, and what it drops from an answer: true where nothing else helps.
const LACKS = {
  DescribeClustersForRegion: true,
  DescribeRegions: true,
  ListClusterKubeconfigStates: true,
  DescribeClusterTasks: true,
  DescribeClusterV2UserKubeconfig: ["TemporaryDurationMinutes"],
};
const SHORT_INTEGERS = new Set(["ListUserKubeConfigStates"]);

/** A text as Go reads it: pairs of surrogates are one letter there, and a lone one none. */
export const text = (value) => quoted(value).replace(/\\u(d[89ab]..)\\u(d[c-f]..)|\\u(d[89a-f]..)/gi, (_, high, low) => {
  if (high === undefined) return "\\ufffd";
  const point = (Number.parseInt(high, 16) - 0xd800) * 0x400 + (Number.parseInt(low, 16) - 0xdc00) + 0x10000;
  return `\\U${point.toString(16).padStart(8, "0")}`;
});

function literal(value) {
  if (value === null) return "nil";
  if (typeof value === "string") return text(value);
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `[]interface{}{${value.map(literal).join(", ")}}`;
  return `map[string]interface{}{${Object.entries(value).map(([name, item]) => `${text(name)}: ${literal(item)}`).join(", ")}}`;
}

function valueOf(member, values) {
  if (!member.secret) return literal(values[member.wire]);
  const given = `os.Getenv(${text(variableOf(member))})`;
  return isJson(member) ? `json.RawMessage(${given})` : given;
}

/** A value as the SDK's models have it: a pointer. */
function pointer(operation, member, value, secret = false) {
  if (secret) return `tea.String(os.Getenv(${text(variableOf(member))}))`;
  if (typeof value === "boolean") return `tea.Bool(${value})`;
  if (typeof value === "number") return `tea.${SHORT_INTEGERS.has(operation.name) ? "Int32" : "Int64"}(${value})`;
  if (Array.isArray(value)) return `tea.StringSlice([]string{${value.map((item) => text(item)).join(", ")}})`;
  return `tea.String(${text(value)})`;
}

/** A literal with its fields, one a line, their values below each other as gofmt has them. */
function struct(fields, margin) {
  if (!fields.length) return "{}";
  const parts = fields.map((field) => [field.slice(0, field.indexOf(": ") + 1), field.slice(field.indexOf(": ") + 2)]);
  const runs = []; // of fields on one line each: only those are aligned with each other
  for (const part of parts) {
    if (!runs.length || part[1].includes("\n") || runs.at(-1).at(-1)[1].includes("\n")) runs.push([]);
    runs.at(-1).push(part);
  }
  const lines = runs.flatMap((run) => {
    const width = Math.max(...run.map(([name]) => name.length));
    return run.map(([name, value]) => `${margin}\t${name.padEnd(width)} ${value},\n`);
  });
  return `{\n${lines.join("")}${margin}}`;
}

function config(sample) {
  const { protocol, host } = addressOf(sample.endpoint);
  return [
    'AccessKeyId: tea.String(os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"))',
    'AccessKeySecret: tea.String(os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"))',
    ...(sample.temporary ? ['SecurityToken: tea.String(os.Getenv("ALIBABA_CLOUD_SECURITY_TOKEN"))'] : []),
    `Endpoint: tea.String(${text(host)})`,
    ...(protocol === "http" ? ['Protocol: tea.String("http")'] : []),
    `RegionId: tea.String(${text(sample.region)})`,
  ];
}

function fieldOf(operation, member, values) {
  const value = values[member.wire];
  const name = pascal(member.name);
  if (member.location !== "body" || !member.members || !Array.isArray(value)) {
    return `${name}: ${pointer(operation, member, value, member.secret)}`;
  }
  const model = `cs.${operation.name}Request${name}`;
  const items = value.map((item) => {
    const known = member.members.filter((one) => one.wire in item);
    return `\t\t\t{${known.map((one) => `${pascal(one.name)}: ${pointer(operation, one, item[one.wire])}`).join(", ")}},\n`;
  });
  return `${name}: []*${model}{${items.length ? `\n${items.join("")}\t\t` : ""}}`;
}

function typedCall({ operation, values }) {
  const args = operation.input.filter((member) => member.location === "path").map((member) => `tea.String(${text(values[member.wire] ?? "")})`);
  const rest = operation.input.filter((member) => member.location !== "path" && !member.ours);
  if (rest.length) {
    const fields = rest.filter((member) => values[member.wire] !== undefined).map((member) => fieldOf(operation, member, values));
    args.push(`&cs.${operation.name}Request${struct(fields, "\t")}`);
  }
  return `client.${operation.name}(${args.join(", ")})`;
}

function rawCall(sample) {
  const { operation, values, version } = sample;
  const { path, query } = layOut(operation, values);
  const params = struct(
    [
      `Action: tea.String(${text(operation.name)})`,
      `Version: tea.String(${text(version)})`,
      'Protocol: tea.String("HTTPS")',
      `Pathname: tea.String(${text(path)})`,
      `Method: tea.String(${text(operation.method)})`,
      'AuthType: tea.String("AK")',
      'Style: tea.String("ROA")',
      'ReqBodyType: tea.String("json")',
      `BodyType: tea.String("${operation.answers_array ? "array" : "json"}")`,
    ],
    "\t",
  );
  const body = given(sample, "body");
  const whole = body.find((member) => member.whole);
  const fields = [];
  if (query.length) fields.push(`Query: map[string]*string{${query.map(([name, value]) => `${text(name)}: tea.String(${text(value)})`).join(", ")}}`);
  if (whole) fields.push(`Body: ${literal(values[whole.wire])}`);
  else if (body.length) fields.push(`Body: map[string]interface{}${struct(body.map((member) => `${text(member.wire)}: ${valueOf(member, values)}`), "\t\t")}`);
  return `client.CallApi(&openapi.Params${params}, &openapi.OpenApiRequest${struct(fields, "\t")}, &util.RuntimeOptions{})`;
}

function printed({ operation }, typed) {
  if (!givesAnswer(operation, typed)) return typed ? "\tfmt.Println(tea.Int32Value(answer.StatusCode))" : '\tfmt.Println(answer["statusCode"])';
  return `\ttext, err := json.MarshalIndent(${typed ? "answer.Body" : 'answer["body"]'}, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))`;
}

function write(sample) {
  const { operation } = sample;
  const typed = isTyped(sample, LACKS);
  const imports = [
    ...(givesAnswer(operation, typed) ? ['"encoding/json"'] : []),
    '"fmt"',
    '"log"',
    '"os"',
    "",
    `cs "${MODULE}/client"`,
    'openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"',
    ...(typed ? [] : ['util "github.com/alibabacloud-go/tea-utils/v2/service"']),
    '"github.com/alibabacloud-go/tea/tea"',
  ];
  const code = `package main

import (
${imports.map((line) => (line ? `\t${line}\n` : "\n")).join("")})

func main() {
	client, err := cs.NewClient(&openapi.Config${struct(config(sample), "\t")})
	if err != nil {
		log.Fatal(err)
	}
	client.SignatureAlgorithm = tea.String("ACS3-HMAC-SHA256") // it would sign in the older form
	answer, err := ${typed ? typedCall(sample) : rawCall(sample)}
	if err != nil {
		log.Fatal(err)
	}
${printed(sample, typed)}
}
`;
  return {
    install: `go get ${MODULE}@${VERSION}`,
    tested: `${MODULE} ${VERSION}`,
    note: "Where the server has a root certificate of its own: export SSL_CERT_FILE=root.pem",
    raw: !typed,
    code,
  };
}

export const go = { id: "go", title: "Go", file: "main.go", write };
