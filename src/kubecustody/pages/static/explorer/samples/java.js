// The provider's Java SDK: by its raw call, which needs no knowledge of the models.

import { addressOf, given, layOut, quoted, variableOf } from "./writing.js";

function literal(value) {
  if (value === null) return "null";
  if (typeof value === "string") return quoted(value);
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `java.util.List.of(${value.map(literal).join(", ")})`;
  return `java.util.Map.of(${Object.entries(value).map(([name, item]) => `${quoted(name)}, ${literal(item)}`).join(", ")})`;
}

function write(sample) {
  const { operation, values, endpoint, region, version, temporary } = sample;
  const { protocol, host } = addressOf(endpoint);
  const { path, query } = layOut(operation, values);
  const body = given(sample, "body");
  const whole = body.find((member) => member.whole);
  const request = [];
  if (query.length) request.push(`        request.setQuery(java.util.Map.of(${query.map(([name, value]) => `${quoted(name)}, ${quoted(value)}`).join(", ")}));`);
  if (whole) request.push(`        request.setBody(${literal(values[whole.wire])});`);
  else if (body.length) {
    const entries = body.map((member) => `${quoted(member.wire)}, ${member.secret ? `System.getenv(${quoted(variableOf(member))})` : literal(values[member.wire])}`);
    request.push(`        request.setBody(java.util.Map.of(${entries.join(", ")}));`);
  }
  const code = `import com.aliyun.cs20151215.Client;
import com.aliyun.teaopenapi.models.Config;
import com.aliyun.teaopenapi.models.OpenApiRequest;
import com.aliyun.teaopenapi.models.Params;
import com.aliyun.teautil.models.RuntimeOptions;

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
${request.map((line) => `${line}\n`).join("")}        System.out.println(new Client(config).callApi(params, request, new RuntimeOptions()).get("body"));
    }
}
`;
  return {
    install: "# com.aliyun:cs20151215 from Maven Central",
    tested: "",
    untested: "This sample has not been run.",
    note: "Where the server has a root certificate of its own: keytool -importcert into the JVM's trust store.",
    raw: true,
    code,
  };
}

export const java = { id: "java", title: "Java", file: "Sample.java", write };
