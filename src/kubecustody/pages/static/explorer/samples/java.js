// The provider's Java SDK: by its raw call, since this version has no method for many of the operations.

import { addressOf, given, isJson, layOut, quoted, variableOf } from "./writing.js";

const MODULE = { group: "com.aliyun", name: "cs20151215", version: "3.0.15" };

const holdsNull = (value) => value === null || (typeof value === "object" && Object.values(value).some(holdsNull));

/** A map of texts and what Java has for the values; Map.of takes ten pairs at most. */
const mapOf = (entries) =>
  entries.length > 10
    ? `Map.ofEntries(${entries.map(([name, value]) => `Map.entry(${quoted(name)}, ${value})`).join(", ")})`
    : `Map.of(${entries.map(([name, value]) => `${quoted(name)}, ${value}`).join(", ")})`;

function literal(value) {
  if (holdsNull(value)) return `Common.parseJSON(${quoted(JSON.stringify(value))})`; // List.of and Map.of take none
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number") return Math.abs(value) > 0x7fffffff ? `${value}L` : String(value);
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `List.of(${value.map(literal).join(", ")})`;
  return mapOf(Object.entries(value).map(([name, item]) => [name, literal(item)]));
}

function valueOf(member, values) {
  if (!member.secret) return literal(values[member.wire]);
  const given = `System.getenv(${quoted(variableOf(member))})`;
  return isJson(member) ? `Common.parseJSON(${given})` : given;
}

function requestOf(sample) {
  const { query } = layOut(sample.operation, sample.values);
  const body = given(sample, "body");
  const whole = body.find((member) => member.whole);
  const lines = [];
  if (query.length) lines.push(`request.setQuery(${mapOf(query.map(([name, value]) => [name, quoted(value)]))});`);
  if (whole) lines.push(`request.setBody(${literal(sample.values[whole.wire])});`);
  else if (body.length) lines.push(`request.setBody(${mapOf(body.map((member) => [member.wire, valueOf(member, sample.values)]))});`);
  return lines.map((line) => `        ${line}\n`).join("");
}

function write(sample) {
  const { operation, values, endpoint, region, version, temporary } = sample;
  const { protocol, host } = addressOf(endpoint);
  const { path } = layOut(operation, values);
  const request = requestOf(sample);
  const used = ["List", "Map"].filter((name) => request.includes(`${name}.of`));
  const code = `import com.aliyun.cs20151215.Client;
import com.aliyun.tea.TeaException;
import com.aliyun.teaopenapi.models.Config;
import com.aliyun.teaopenapi.models.OpenApiRequest;
import com.aliyun.teaopenapi.models.Params;
import com.aliyun.teautil.Common;
import com.aliyun.teautil.models.RuntimeOptions;
${used.map((name) => `import java.util.${name};\n`).join("")}
public class Sample {
    public static void main(String[] args) throws Exception {
        Config config = new Config()
            .setAccessKeyId(System.getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"))
            .setAccessKeySecret(System.getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"))${temporary ? '\n            .setSecurityToken(System.getenv("ALIBABA_CLOUD_SECURITY_TOKEN"))' : ""}
            .setEndpoint(${quoted(host)})${protocol === "http" ? '\n            .setProtocol("http")' : ""}
            .setRegionId(${quoted(region)});
        Params params = new Params()
            .setAction(${quoted(operation.name)})
            .setVersion(${quoted(version)})
            .setProtocol("HTTPS")
            .setPathname(${quoted(path)})
            .setMethod(${quoted(operation.method)})
            .setAuthType("AK")
            .setStyle("ROA")
            .setReqBodyType("json")
            .setBodyType("${operation.answers_array ? "array" : "json"}");
        OpenApiRequest request = new OpenApiRequest();
${request}        try {
            Object body = new Client(config).callApi(params, request, new RuntimeOptions()).get("body");
            System.out.println(Common.toJSONString(body));
        } catch (TeaException error) {
            throw new Exception(error.getCode(), error); // its own message lacks the code
        }
    }
}
`;
  return {
    install: `<dependency><groupId>${MODULE.group}</groupId><artifactId>${MODULE.name}</artifactId><version>${MODULE.version}</version></dependency>`,
    tested: `${MODULE.group}:${MODULE.name} ${MODULE.version}, Java 17`,
    note: "Where the server has a root certificate of its own: keytool -importcert into the JVM's trust store.",
    raw: true,
    why: "This version of the SDK has no method for many of the operations, so the sample makes the SDK's raw call.",
    code,
  };
}

export const java = { id: "java", title: "Java", file: "Sample.java", write };
