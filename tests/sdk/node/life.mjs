// Calls the server with the provider's SDK: reads a JSON command a line, writes its answer as a JSON line.
//
// {"do": "get", "endpoint": .., "key": {"id": .., "secret": ..}, "cluster": .., ..} is answered by {"response":
// {"statusCode": .., "body": ..}}, the body in the names of the wire, or by {"error": {..}} as the SDK has read it.
// MODULES is the folder of the installed packages.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(join(process.env.MODULES, "package.json"));
const cs = require("@alicloud/cs20151215");
const { $OpenApiUtil } = require("@alicloud/openapi-core");

function clientOf({ endpoint, key }) {
  const [protocol, address] = endpoint.split("://");
  const credentials = { accessKeyId: key.id, accessKeySecret: key.secret };
  return new cs.default(new $OpenApiUtil.Config({ ...credentials, endpoint: address, protocol, regionId: "local" }));
}

const operations = {
  states: (client, { uid }) => client.listUserKubeConfigStates(uid, new cs.ListUserKubeConfigStatesRequest({})),
  holders: (client, { cluster, number, size }) =>
    client.listClusterKubeconfigStates(
      cluster,
      new cs.ListClusterKubeconfigStatesRequest({ pageNumber: number, pageSize: size }),
    ),
  get: (client, { cluster, minutes }) =>
    client.describeClusterUserKubeconfig(
      cluster,
      new cs.DescribeClusterUserKubeconfigRequest({ temporaryDurationMinutes: minutes }),
    ),
  expire: (client, { cluster, uid, hours }) =>
    client.updateK8sClusterUserConfigExpire(
      cluster,
      new cs.UpdateK8sClusterUserConfigExpireRequest({ user: uid, expireHour: hours }),
    ),
  revoke: (client, { cluster }) => client.revokeK8sClusterKubeConfig(cluster),
  clean: (client, { cluster, uid, force }) =>
    client.cleanClusterUserPermissions(cluster, uid, new cs.CleanClusterUserPermissionsRequest({ force })),
  cleanAll: (client, { uid, clusters, force }) =>
    client.cleanUserPermissions(uid, new cs.CleanUserPermissionsRequest({ clusterIds: clusters, force })),
  task: (client, { task }) => client.describeTaskInfo(task),
};

async function answer(command) {
  try {
    const response = await operations[command.do](clientOf(command), command);
    return { response: response.toMap() };
  } catch (error) {
    const { name: kind, code, message, statusCode: status_code, requestId: request_id, retryAfter } = error;
    if (request_id === undefined) throw error;
    return { error: { kind, code, message, status_code, request_id, retry_after_ms: retryAfter ?? null } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
// The SDK keeps its connections alive, which would keep this program alive too.
process.exit(0);
