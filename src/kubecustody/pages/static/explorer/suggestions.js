// Clusters and people of the account, looked up by signed calls when they are asked for.

import { byId, element, visible } from "./dom.js";

const CLUSTER_NAMES = new Set(["ClusterId", "cluster_id", "cluster"]);
const PERSON_NAMES = new Set(["Uid", "uid", "user"]);
const MOST_CLUSTERS = 300, MOST_ASKED = 12;

export class Suggestions {
  /** `send(name, values)` makes a signed call. */
  constructor(send) {
    this.send = send;
    this.clusters = new Map();
    this.people = new Map();
    for (const id of ["known-clusters", "known-people"]) document.body.append(element("datalist", { id }));
  }

  listFor(member) {
    if (CLUSTER_NAMES.has(member.wire)) return "known-clusters";
    return PERSON_NAMES.has(member.wire) ? "known-people" : "";
  }

  /** Looks up; what was found, or why nothing was, in words. */
  async fetch() {
    try {
      for (let page = 1; this.clusters.size < MOST_CLUSTERS; page++) {
        const { status, body } = await this.send("DescribeClustersV1", { page_number: page, page_size: 100 });
        if (status >= 400) return `Clusters could not be looked up: ${body?.code ?? status}. Give ids by hand.`;
        for (const cluster of body.clusters) this.clusters.set(cluster.cluster_id, cluster.name);
        if (body.clusters.length < 100) break;
      }
      for (const clusterId of [...this.clusters.keys()].slice(0, MOST_ASKED)) {
        const { status, body } = await this.send("ListClusterKubeconfigStates", { ClusterId: clusterId, pageSize: 50 });
        if (status >= 400) break;
        for (const row of body.states) this.people.set(row.account_id, row.account_display_name || row.account_name);
      }
    } catch (error) {
      return `Nothing could be looked up: no answer came (${error.message}).`;
    }
    this.fill("known-clusters", this.clusters);
    this.fill("known-people", this.people);
    return `Found ${this.clusters.size} clusters and ${this.people.size} people who hold something in them; fields for ids now suggest them.`;
  }

  fill(id, found) {
    byId(id).replaceChildren(...[...found].map(([value, name]) => element("option", { value, label: `${visible(name)} (${value})` })));
  }

  /** To whom and where a call happens, in words. */
  whomAndWhere(operation, values) {
    const uid = values.Uid ?? values.uid ?? values.user;
    const person = this.people.get(uid);
    const whom = uid === undefined ? "you (the caller)" : person ? `${person} (${uid})` : `the user or role ${uid}`;
    const entries = Array.isArray(values.body) ? values.body.map((entry) => entry?.cluster).filter(Boolean) : [];
    const ids = [values.ClusterId ?? values.cluster_id, ...(values.ClusterIds ?? []), ...entries].filter(Boolean);
    const named = [...new Set(ids)].map((id) => (this.clusters.has(id) ? `${this.clusters.get(id)} (${id})` : id));
    const everywhere = operation.input.some((member) => member.wire === "ClusterIds");
    const where = named.length ? ` in ${named.length > 1 ? "the clusters" : "the cluster"} ${named.join(", ")}` : everywhere ? " in every cluster" : "";
    return { whom, where };
  }
}
