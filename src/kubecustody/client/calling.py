"""A typed method for each operation, made from the catalogue by `kubecustody.client.generating`."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from kubecustody.catalogue.account import (
    CheckServiceRoleInput,
    CheckServiceRoleOutput,
    DescribeRegionsInput,
    DescribeRegionsOutput,
    DescribeUserQuotaInput,
    DescribeUserQuotaOutput,
    WantedRole,
)
from kubecustody.catalogue.clusters import (
    DescribeClusterDetailInput,
    DescribeClustersForRegionInput,
    DescribeClustersForRegionOutput,
    DescribeClustersInput,
    DescribeClustersV1Input,
    DescribeClustersV1Output,
    LegacyCluster,
    ListedCluster,
)
from kubecustody.catalogue.credentials import (
    DescribeCredentialInput,
    DescribeCredentialOutput,
    ListCredentialsInput,
    ListCredentialsOutput,
    RevokeCredentialInput,
    RevokeCredentialOutput,
)
from kubecustody.catalogue.events import ListEventsInput, ListEventsOutput, ListOwnEventsInput
from kubecustody.catalogue.kubeconfigs import (
    BareKubeconfigOutput,
    CleanInput,
    CleanOutput,
    ExpireInput,
    IssueCredentialInput,
    IssueCredentialOutput,
    KubeconfigOutput,
    RevokeInput,
    RevokeOutput,
    SubaccountKubeconfigInput,
    UserKubeconfigInput,
)
from kubecustody.catalogue.permissions import (
    ChangedPermission,
    DescribeUserClusterNamespacesInput,
    DescribeUserPermissionInput,
    GrantedPermission,
    GrantPermissionsInput,
    UpdateUserPermissionsInput,
    UserPermission,
)
from kubecustody.catalogue.registering import (
    AppliedClusterInput,
    ApplyClustersInput,
    ApplyClustersOutput,
    ClusterReportOutput,
    ManageClusterInput,
    ManageClusterOutput,
    RegisterClusterInput,
    TestClusterInput,
)
from kubecustody.catalogue.removing_clusters import RemoveClusterInput, RemoveClusterOutput
from kubecustody.catalogue.requests import DescribeRequestErrorInput, DescribeRequestErrorOutput
from kubecustody.catalogue.restoring import (
    ListRestorableCredentialsInput,
    ListRestorableCredentialsOutput,
    RestoreCredentialInput,
    RestoreCredentialOutput,
    RestoreRemovalInput,
    RestoreRemovalOutput,
)
from kubecustody.catalogue.states import (
    ListClusterKubeconfigStatesInput,
    ListClusterKubeconfigStatesOutput,
    ListUserKubeConfigStatesInput,
    ListUserKubeConfigStatesOutput,
)
from kubecustody.catalogue.tasks import (
    ActivityStateInput,
    ActivityStateOutput,
    CleanUserPermissionsInput,
    CleanUserPermissionsOutput,
    DescribeClusterTasksInput,
    DescribeClusterTasksOutput,
    DescribeTaskInfoInput,
    DescribeTaskInfoOutput,
)
from kubecustody.catalogue.users import DescribeUserInput, DescribeUserOutput


class Calls:
    """Every operation as a method, its answer at once."""

    _call: Callable[[str, Any], Any]

    def list_user_kube_config_states(
        self, *, uid: str = "", page_number: int = 1, page_size: int = 50, detail: bool = False, at: str = ""
    ) -> ListUserKubeConfigStatesOutput:
        """Query the status of the kubeconfig files of a user in all clusters of the account."""
        return cast(
            "ListUserKubeConfigStatesOutput",
            self._call(
                "ListUserKubeConfigStates",
                ListUserKubeConfigStatesInput(
                    uid=uid, page_number=page_number, page_size=page_size, detail=detail, at=at
                ),
            ),
        )

    def list_cluster_kubeconfig_states(
        self,
        cluster_id: str,
        *,
        page_number: int = 1,
        page_size: int = 10,
        cloud_service_kube_config: bool = False,
        at: str = "",
    ) -> ListClusterKubeconfigStatesOutput:
        """Query the status of the kubeconfig files of all users in one cluster."""
        return cast(
            "ListClusterKubeconfigStatesOutput",
            self._call(
                "ListClusterKubeconfigStates",
                ListClusterKubeconfigStatesInput(
                    cluster_id=cluster_id,
                    page_number=page_number,
                    page_size=page_size,
                    cloud_service_kube_config=cloud_service_kube_config,
                    at=at,
                ),
            ),
        )

    def describe_cluster_user_kubeconfig(
        self, cluster_id: str, *, private_ip_address: bool = False, temporary_duration_minutes: int | None = None
    ) -> KubeconfigOutput:
        """Get the kubeconfig of the caller in a cluster."""
        return cast(
            "KubeconfigOutput",
            self._call(
                "DescribeClusterUserKubeconfig",
                UserKubeconfigInput(
                    cluster_id=cluster_id,
                    private_ip_address=private_ip_address,
                    temporary_duration_minutes=temporary_duration_minutes,
                ),
            ),
        )

    def describe_cluster_v2_user_kubeconfig(
        self, cluster_id: str, *, private_ip_address: bool = False, temporary_duration_minutes: int | None = None
    ) -> BareKubeconfigOutput:
        """Get the kubeconfig of the caller in a cluster, without its end."""
        return cast(
            "BareKubeconfigOutput",
            self._call(
                "DescribeClusterV2UserKubeconfig",
                UserKubeconfigInput(
                    cluster_id=cluster_id,
                    private_ip_address=private_ip_address,
                    temporary_duration_minutes=temporary_duration_minutes,
                ),
            ),
        )

    def describe_subaccount_k8s_cluster_user_config(
        self,
        cluster_id: str,
        uid: str,
        *,
        private_ip_address: bool = False,
        temporary_duration_minutes: int | None = None,
    ) -> KubeconfigOutput:
        """Get the kubeconfig of a RAM user or role in a cluster."""
        return cast(
            "KubeconfigOutput",
            self._call(
                "DescribeSubaccountK8sClusterUserConfig",
                SubaccountKubeconfigInput(
                    cluster_id=cluster_id,
                    uid=uid,
                    private_ip_address=private_ip_address,
                    temporary_duration_minutes=temporary_duration_minutes,
                ),
            ),
        )

    def update_k8s_cluster_user_config_expire(self, cluster_id: str, expire_hour: int, user: str) -> None:
        """Set how long a user's kubeconfig of a cluster is to live."""
        self._call(
            "UpdateK8sClusterUserConfigExpire", ExpireInput(cluster_id=cluster_id, expire_hour=expire_hour, user=user)
        )

    def revoke_k8s_cluster_kube_config(self, cluster_id: str, *, dry_run: bool = False) -> RevokeOutput:
        """Revoke the caller's kubeconfig of a cluster and issue another."""
        return cast(
            "RevokeOutput",
            self._call("RevokeK8sClusterKubeConfig", RevokeInput(cluster_id=cluster_id, dry_run=dry_run)),
        )

    def clean_cluster_user_permissions(
        self,
        cluster_id: str,
        uid: str,
        *,
        force: bool = False,
        dry_run: bool = False,
        compromised: bool = False,
        allow_last_admin: bool = False,
    ) -> CleanOutput:
        """Remove a user's kubeconfig and permissions in a cluster."""
        return cast(
            "CleanOutput",
            self._call(
                "CleanClusterUserPermissions",
                CleanInput(
                    cluster_id=cluster_id,
                    uid=uid,
                    force=force,
                    dry_run=dry_run,
                    compromised=compromised,
                    allow_last_admin=allow_last_admin,
                ),
            ),
        )

    def issue_credential(
        self,
        cluster_id: str,
        csr: str,
        *,
        private_ip_address: bool = False,
        temporary_duration_minutes: int | None = None,
    ) -> IssueCredentialOutput:
        """Get a certificate in a cluster for a key that never leaves its holder."""
        return cast(
            "IssueCredentialOutput",
            self._call(
                "IssueCredential",
                IssueCredentialInput(
                    cluster_id=cluster_id,
                    csr=csr,
                    private_ip_address=private_ip_address,
                    temporary_duration_minutes=temporary_duration_minutes,
                ),
            ),
        )

    def list_credentials(
        self,
        *,
        uid: str = "",
        cluster_id: str = "",
        state: str = "",
        expires_before: str = "",
        deleted_holders: bool = False,
        fingerprint: str = "",
        serial: str = "",
        max_results: int = 50,
        next_token: str = "",
        at: str = "",
    ) -> ListCredentialsOutput:
        """List credentials one by one: by holder, cluster, state, expiry, fingerprint or serial number."""
        return cast(
            "ListCredentialsOutput",
            self._call(
                "ListCredentials",
                ListCredentialsInput(
                    uid=uid,
                    cluster_id=cluster_id,
                    state=state,
                    expires_before=expires_before,
                    deleted_holders=deleted_holders,
                    fingerprint=fingerprint,
                    serial=serial,
                    max_results=max_results,
                    next_token=next_token,
                    at=at,
                ),
            ),
        )

    def describe_credential(self, cluster_id: str, credential: str, *, at: str = "") -> DescribeCredentialOutput:
        """Look at one credential: its facts, the evidence about it, its events, and who was given its private key."""
        return cast(
            "DescribeCredentialOutput",
            self._call(
                "DescribeCredential", DescribeCredentialInput(cluster_id=cluster_id, credential=credential, at=at)
            ),
        )

    def revoke_credential(
        self, cluster_id: str, credential: str, reason: str, *, dry_run: bool = False, compromised: bool = False
    ) -> RevokeCredentialOutput:
        """Ask the removal of one credential, and of nothing else."""
        return cast(
            "RevokeCredentialOutput",
            self._call(
                "RevokeCredential",
                RevokeCredentialInput(
                    cluster_id=cluster_id,
                    credential=credential,
                    reason=reason,
                    dry_run=dry_run,
                    compromised=compromised,
                ),
            ),
        )

    def list_restorable_credentials(self, *, uid: str = "") -> ListRestorableCredentialsOutput:
        """List the kubeconfigs that were removed within 30 days and could come back."""
        return cast(
            "ListRestorableCredentialsOutput",
            self._call("ListRestorableCredentials", ListRestorableCredentialsInput(uid=uid)),
        )

    def restore_credential(self, cluster_id: str, credential: str, reason: str) -> RestoreCredentialOutput:
        """Take the removal of one credential back, within 30 days."""
        return cast(
            "RestoreCredentialOutput",
            self._call(
                "RestoreCredential", RestoreCredentialInput(cluster_id=cluster_id, credential=credential, reason=reason)
            ),
        )

    def restore_removal(
        self,
        uid: str,
        reason: str,
        *,
        task_id: str = "",
        removed_from: str = "",
        removed_to: str = "",
        dry_run: bool = False,
    ) -> RestoreRemovalOutput:
        """Take back all that one removal took from a person, within 30 days."""
        return cast(
            "RestoreRemovalOutput",
            self._call(
                "RestoreRemoval",
                RestoreRemovalInput(
                    uid=uid,
                    reason=reason,
                    task_id=task_id,
                    removed_from=removed_from,
                    removed_to=removed_to,
                    dry_run=dry_run,
                ),
            ),
        )

    def describe_user(self, who: str) -> DescribeUserOutput:
        """Query who has an ID, a name or an e-mail address."""
        return cast("DescribeUserOutput", self._call("DescribeUser", DescribeUserInput(who=who)))

    def grant_permissions(self, uid: str, body: list[GrantedPermission], *, allow_last_admin: bool = False) -> None:
        """Replace all permissions of a RAM user or role."""
        self._call("GrantPermissions", GrantPermissionsInput(uid=uid, body=body, allow_last_admin=allow_last_admin))

    def update_user_permissions(
        self, uid: str, body: list[ChangedPermission], *, mode: str = "apply", allow_last_admin: bool = False
    ) -> None:
        """Replace, add or take away permissions of a RAM user or role."""
        self._call(
            "UpdateUserPermissions",
            UpdateUserPermissionsInput(uid=uid, body=body, mode=mode, allow_last_admin=allow_last_admin),
        )

    def describe_user_permission(self, uid: str) -> list[UserPermission]:
        """Query the permissions of a RAM user or role."""
        return cast("list[UserPermission]", self._call("DescribeUserPermission", DescribeUserPermissionInput(uid=uid)))

    def describe_user_cluster_namespaces(self, cluster_id: str) -> list[str]:
        """Query the namespaces of a cluster in which the caller is permitted something."""
        return cast(
            "list[str]",
            self._call("DescribeUserClusterNamespaces", DescribeUserClusterNamespacesInput(cluster_id=cluster_id)),
        )

    def clean_user_permissions(
        self,
        uid: str,
        *,
        cluster_ids: list[str] | None = None,
        force: bool = False,
        dry_run: bool = False,
        compromised: bool = False,
        allow_last_admin: bool = False,
    ) -> CleanUserPermissionsOutput:
        """Remove a user's kubeconfigs and permissions in several clusters."""
        return cast(
            "CleanUserPermissionsOutput",
            self._call(
                "CleanUserPermissions",
                CleanUserPermissionsInput(
                    uid=uid,
                    cluster_ids=cluster_ids,
                    force=force,
                    dry_run=dry_run,
                    compromised=compromised,
                    allow_last_admin=allow_last_admin,
                ),
            ),
        )

    def describe_task_info(self, task_id: str) -> DescribeTaskInfoOutput:
        """Query how far a task is."""
        return cast("DescribeTaskInfoOutput", self._call("DescribeTaskInfo", DescribeTaskInfoInput(task_id=task_id)))

    def describe_cluster_tasks(
        self,
        cluster_id: str,
        *,
        page_number: int = 1,
        page_size: int = 50,
        max_results: int | None = None,
        next_token: str = "",
    ) -> DescribeClusterTasksOutput:
        """Query the tasks that have to do with a cluster."""
        return cast(
            "DescribeClusterTasksOutput",
            self._call(
                "DescribeClusterTasks",
                DescribeClusterTasksInput(
                    cluster_id=cluster_id,
                    page_number=page_number,
                    page_size=page_size,
                    max_results=max_results,
                    next_token=next_token,
                ),
            ),
        )

    def describe_user_cluster_activity_state(self, cluster_id: str, uid: str) -> ActivityStateOutput:
        """Query whether a user used their kubeconfig of a cluster in the last 7 days."""
        return cast(
            "ActivityStateOutput",
            self._call("DescribeUserClusterActivityState", ActivityStateInput(cluster_id=cluster_id, uid=uid)),
        )

    def describe_clusters_v1(
        self,
        *,
        name: str = "",
        cluster_type: str = "",
        cluster_spec: str = "",
        profile: str = "",
        region_id: str = "",
        cluster_id: str = "",
        page_number: int = 1,
        page_size: int = 10,
        detail: bool = False,
    ) -> DescribeClustersV1Output:
        """Query the clusters of the account, page by page."""
        return cast(
            "DescribeClustersV1Output",
            self._call(
                "DescribeClustersV1",
                DescribeClustersV1Input(
                    name=name,
                    cluster_type=cluster_type,
                    cluster_spec=cluster_spec,
                    profile=profile,
                    region_id=region_id,
                    cluster_id=cluster_id,
                    page_number=page_number,
                    page_size=page_size,
                    detail=detail,
                ),
            ),
        )

    def describe_clusters(
        self, *, name: str = "", cluster_type: str = "", resource_group_id: str = ""
    ) -> list[LegacyCluster]:
        """Query the clusters of the account, all at once."""
        return cast(
            "list[LegacyCluster]",
            self._call(
                "DescribeClusters",
                DescribeClustersInput(name=name, cluster_type=cluster_type, resource_group_id=resource_group_id),
            ),
        )

    def describe_clusters_for_region(
        self,
        region_id: str,
        *,
        name: str = "",
        cluster_type: str = "",
        cluster_spec: str = "",
        profile: str = "",
        cluster_id: str = "",
        page_number: int = 1,
        page_size: int = 10,
    ) -> DescribeClustersForRegionOutput:
        """Query the clusters of one region, page by page."""
        return cast(
            "DescribeClustersForRegionOutput",
            self._call(
                "DescribeClustersForRegion",
                DescribeClustersForRegionInput(
                    region_id=region_id,
                    name=name,
                    cluster_type=cluster_type,
                    cluster_spec=cluster_spec,
                    profile=profile,
                    cluster_id=cluster_id,
                    page_number=page_number,
                    page_size=page_size,
                ),
            ),
        )

    def describe_cluster_detail(self, cluster_id: str, *, detail: bool = False) -> ListedCluster:
        """Query one cluster."""
        return cast(
            "ListedCluster",
            self._call("DescribeClusterDetail", DescribeClusterDetailInput(cluster_id=cluster_id, detail=detail)),
        )

    def describe_user_quota(self) -> DescribeUserQuotaOutput:
        """Query the quotas of the account."""
        return cast("DescribeUserQuotaOutput", self._call("DescribeUserQuota", DescribeUserQuotaInput()))

    def describe_regions(
        self, *, accept_language: str = "", cluster_type: str = "", profile: str = ""
    ) -> DescribeRegionsOutput:
        """Query the regions."""
        return cast(
            "DescribeRegionsOutput",
            self._call(
                "DescribeRegions",
                DescribeRegionsInput(accept_language=accept_language, cluster_type=cluster_type, profile=profile),
            ),
        )

    def check_service_role(self, *, roles: list[WantedRole] | None = None) -> CheckServiceRoleOutput:
        """Check whether service roles are granted."""
        return cast("CheckServiceRoleOutput", self._call("CheckServiceRole", CheckServiceRoleInput(roles=roles)))

    def register_cluster(
        self,
        kubeconfig: str,
        name: str,
        *,
        context: str = "",
        region_id: str = "",
        public_endpoint: str = "",
        private_endpoint: str = "",
        declared_api_servers: int | None = None,
        replace_access: bool = False,
        replace_fields: bool = False,
        dry_run: bool = False,
    ) -> ClusterReportOutput:
        """Register a cluster that this server can reach."""
        return cast(
            "ClusterReportOutput",
            self._call(
                "RegisterCluster",
                RegisterClusterInput(
                    kubeconfig=kubeconfig,
                    name=name,
                    context=context,
                    region_id=region_id,
                    public_endpoint=public_endpoint,
                    private_endpoint=private_endpoint,
                    declared_api_servers=declared_api_servers,
                    replace_access=replace_access,
                    replace_fields=replace_fields,
                    dry_run=dry_run,
                ),
            ),
        )

    def apply_clusters(self, clusters: list[AppliedClusterInput], *, dry_run: bool = False) -> ApplyClustersOutput:
        """Register several clusters, or change those that are registered, all of them or none."""
        return cast(
            "ApplyClustersOutput", self._call("ApplyClusters", ApplyClustersInput(clusters=clusters, dry_run=dry_run))
        )

    def test_cluster(self, cluster_id: str) -> ClusterReportOutput:
        """Look at a cluster that this server can reach, now."""
        return cast("ClusterReportOutput", self._call("TestCluster", TestClusterInput(cluster_id=cluster_id)))

    def manage_cluster(self, cluster_id: str, *, mode: str = "manage", plan_hash: str = "") -> ManageClusterOutput:
        """Keep a cluster's bindings as they are wanted here, or only observe it."""
        return cast(
            "ManageClusterOutput",
            self._call("ManageCluster", ManageClusterInput(cluster_id=cluster_id, mode=mode, plan_hash=plan_hash)),
        )

    def remove_cluster(self, cluster_id: str, removal: str, *, dry_run: bool = False) -> RemoveClusterOutput:
        """Remove a cluster from this server, and say what lives on in it."""
        return cast(
            "RemoveClusterOutput",
            self._call("RemoveCluster", RemoveClusterInput(cluster_id=cluster_id, removal=removal, dry_run=dry_run)),
        )

    def list_events(
        self,
        *,
        uid: str = "",
        cluster_id: str = "",
        kind: str = "",
        start_time: str = "",
        end_time: str = "",
        next_token: str = "",
        max_results: int = 50,
    ) -> ListEventsOutput:
        """List what happened in the account."""
        return cast(
            "ListEventsOutput",
            self._call(
                "ListEvents",
                ListEventsInput(
                    uid=uid,
                    cluster_id=cluster_id,
                    kind=kind,
                    start_time=start_time,
                    end_time=end_time,
                    next_token=next_token,
                    max_results=max_results,
                ),
            ),
        )

    def list_own_events(
        self,
        *,
        cluster_id: str = "",
        kind: str = "",
        start_time: str = "",
        end_time: str = "",
        next_token: str = "",
        max_results: int = 50,
    ) -> ListEventsOutput:
        """List what happened that is about the caller."""
        return cast(
            "ListEventsOutput",
            self._call(
                "ListOwnEvents",
                ListOwnEventsInput(
                    cluster_id=cluster_id,
                    kind=kind,
                    start_time=start_time,
                    end_time=end_time,
                    next_token=next_token,
                    max_results=max_results,
                ),
            ),
        )

    def describe_request_error(self, request_id: str) -> DescribeRequestErrorOutput:
        """Query what went wrong in a request of the last hour."""
        return cast(
            "DescribeRequestErrorOutput",
            self._call("DescribeRequestError", DescribeRequestErrorInput(request_id=request_id)),
        )


class AsyncCalls:
    """Every operation as a method, its answer awaited."""

    _call: Callable[[str, Any], Awaitable[Any]]

    async def list_user_kube_config_states(
        self, *, uid: str = "", page_number: int = 1, page_size: int = 50, detail: bool = False, at: str = ""
    ) -> ListUserKubeConfigStatesOutput:
        """Query the status of the kubeconfig files of a user in all clusters of the account."""
        return cast(
            "ListUserKubeConfigStatesOutput",
            await self._call(
                "ListUserKubeConfigStates",
                ListUserKubeConfigStatesInput(
                    uid=uid, page_number=page_number, page_size=page_size, detail=detail, at=at
                ),
            ),
        )

    async def list_cluster_kubeconfig_states(
        self,
        cluster_id: str,
        *,
        page_number: int = 1,
        page_size: int = 10,
        cloud_service_kube_config: bool = False,
        at: str = "",
    ) -> ListClusterKubeconfigStatesOutput:
        """Query the status of the kubeconfig files of all users in one cluster."""
        return cast(
            "ListClusterKubeconfigStatesOutput",
            await self._call(
                "ListClusterKubeconfigStates",
                ListClusterKubeconfigStatesInput(
                    cluster_id=cluster_id,
                    page_number=page_number,
                    page_size=page_size,
                    cloud_service_kube_config=cloud_service_kube_config,
                    at=at,
                ),
            ),
        )

    async def describe_cluster_user_kubeconfig(
        self, cluster_id: str, *, private_ip_address: bool = False, temporary_duration_minutes: int | None = None
    ) -> KubeconfigOutput:
        """Get the kubeconfig of the caller in a cluster."""
        return cast(
            "KubeconfigOutput",
            await self._call(
                "DescribeClusterUserKubeconfig",
                UserKubeconfigInput(
                    cluster_id=cluster_id,
                    private_ip_address=private_ip_address,
                    temporary_duration_minutes=temporary_duration_minutes,
                ),
            ),
        )

    async def describe_cluster_v2_user_kubeconfig(
        self, cluster_id: str, *, private_ip_address: bool = False, temporary_duration_minutes: int | None = None
    ) -> BareKubeconfigOutput:
        """Get the kubeconfig of the caller in a cluster, without its end."""
        return cast(
            "BareKubeconfigOutput",
            await self._call(
                "DescribeClusterV2UserKubeconfig",
                UserKubeconfigInput(
                    cluster_id=cluster_id,
                    private_ip_address=private_ip_address,
                    temporary_duration_minutes=temporary_duration_minutes,
                ),
            ),
        )

    async def describe_subaccount_k8s_cluster_user_config(
        self,
        cluster_id: str,
        uid: str,
        *,
        private_ip_address: bool = False,
        temporary_duration_minutes: int | None = None,
    ) -> KubeconfigOutput:
        """Get the kubeconfig of a RAM user or role in a cluster."""
        return cast(
            "KubeconfigOutput",
            await self._call(
                "DescribeSubaccountK8sClusterUserConfig",
                SubaccountKubeconfigInput(
                    cluster_id=cluster_id,
                    uid=uid,
                    private_ip_address=private_ip_address,
                    temporary_duration_minutes=temporary_duration_minutes,
                ),
            ),
        )

    async def update_k8s_cluster_user_config_expire(self, cluster_id: str, expire_hour: int, user: str) -> None:
        """Set how long a user's kubeconfig of a cluster is to live."""
        await self._call(
            "UpdateK8sClusterUserConfigExpire", ExpireInput(cluster_id=cluster_id, expire_hour=expire_hour, user=user)
        )

    async def revoke_k8s_cluster_kube_config(self, cluster_id: str, *, dry_run: bool = False) -> RevokeOutput:
        """Revoke the caller's kubeconfig of a cluster and issue another."""
        return cast(
            "RevokeOutput",
            await self._call("RevokeK8sClusterKubeConfig", RevokeInput(cluster_id=cluster_id, dry_run=dry_run)),
        )

    async def clean_cluster_user_permissions(
        self,
        cluster_id: str,
        uid: str,
        *,
        force: bool = False,
        dry_run: bool = False,
        compromised: bool = False,
        allow_last_admin: bool = False,
    ) -> CleanOutput:
        """Remove a user's kubeconfig and permissions in a cluster."""
        return cast(
            "CleanOutput",
            await self._call(
                "CleanClusterUserPermissions",
                CleanInput(
                    cluster_id=cluster_id,
                    uid=uid,
                    force=force,
                    dry_run=dry_run,
                    compromised=compromised,
                    allow_last_admin=allow_last_admin,
                ),
            ),
        )

    async def issue_credential(
        self,
        cluster_id: str,
        csr: str,
        *,
        private_ip_address: bool = False,
        temporary_duration_minutes: int | None = None,
    ) -> IssueCredentialOutput:
        """Get a certificate in a cluster for a key that never leaves its holder."""
        return cast(
            "IssueCredentialOutput",
            await self._call(
                "IssueCredential",
                IssueCredentialInput(
                    cluster_id=cluster_id,
                    csr=csr,
                    private_ip_address=private_ip_address,
                    temporary_duration_minutes=temporary_duration_minutes,
                ),
            ),
        )

    async def list_credentials(
        self,
        *,
        uid: str = "",
        cluster_id: str = "",
        state: str = "",
        expires_before: str = "",
        deleted_holders: bool = False,
        fingerprint: str = "",
        serial: str = "",
        max_results: int = 50,
        next_token: str = "",
        at: str = "",
    ) -> ListCredentialsOutput:
        """List credentials one by one: by holder, cluster, state, expiry, fingerprint or serial number."""
        return cast(
            "ListCredentialsOutput",
            await self._call(
                "ListCredentials",
                ListCredentialsInput(
                    uid=uid,
                    cluster_id=cluster_id,
                    state=state,
                    expires_before=expires_before,
                    deleted_holders=deleted_holders,
                    fingerprint=fingerprint,
                    serial=serial,
                    max_results=max_results,
                    next_token=next_token,
                    at=at,
                ),
            ),
        )

    async def describe_credential(self, cluster_id: str, credential: str, *, at: str = "") -> DescribeCredentialOutput:
        """Look at one credential: its facts, the evidence about it, its events, and who was given its private key."""
        return cast(
            "DescribeCredentialOutput",
            await self._call(
                "DescribeCredential", DescribeCredentialInput(cluster_id=cluster_id, credential=credential, at=at)
            ),
        )

    async def revoke_credential(
        self, cluster_id: str, credential: str, reason: str, *, dry_run: bool = False, compromised: bool = False
    ) -> RevokeCredentialOutput:
        """Ask the removal of one credential, and of nothing else."""
        return cast(
            "RevokeCredentialOutput",
            await self._call(
                "RevokeCredential",
                RevokeCredentialInput(
                    cluster_id=cluster_id,
                    credential=credential,
                    reason=reason,
                    dry_run=dry_run,
                    compromised=compromised,
                ),
            ),
        )

    async def list_restorable_credentials(self, *, uid: str = "") -> ListRestorableCredentialsOutput:
        """List the kubeconfigs that were removed within 30 days and could come back."""
        return cast(
            "ListRestorableCredentialsOutput",
            await self._call("ListRestorableCredentials", ListRestorableCredentialsInput(uid=uid)),
        )

    async def restore_credential(self, cluster_id: str, credential: str, reason: str) -> RestoreCredentialOutput:
        """Take the removal of one credential back, within 30 days."""
        return cast(
            "RestoreCredentialOutput",
            await self._call(
                "RestoreCredential", RestoreCredentialInput(cluster_id=cluster_id, credential=credential, reason=reason)
            ),
        )

    async def restore_removal(
        self,
        uid: str,
        reason: str,
        *,
        task_id: str = "",
        removed_from: str = "",
        removed_to: str = "",
        dry_run: bool = False,
    ) -> RestoreRemovalOutput:
        """Take back all that one removal took from a person, within 30 days."""
        return cast(
            "RestoreRemovalOutput",
            await self._call(
                "RestoreRemoval",
                RestoreRemovalInput(
                    uid=uid,
                    reason=reason,
                    task_id=task_id,
                    removed_from=removed_from,
                    removed_to=removed_to,
                    dry_run=dry_run,
                ),
            ),
        )

    async def describe_user(self, who: str) -> DescribeUserOutput:
        """Query who has an ID, a name or an e-mail address."""
        return cast("DescribeUserOutput", await self._call("DescribeUser", DescribeUserInput(who=who)))

    async def grant_permissions(
        self, uid: str, body: list[GrantedPermission], *, allow_last_admin: bool = False
    ) -> None:
        """Replace all permissions of a RAM user or role."""
        await self._call(
            "GrantPermissions", GrantPermissionsInput(uid=uid, body=body, allow_last_admin=allow_last_admin)
        )

    async def update_user_permissions(
        self, uid: str, body: list[ChangedPermission], *, mode: str = "apply", allow_last_admin: bool = False
    ) -> None:
        """Replace, add or take away permissions of a RAM user or role."""
        await self._call(
            "UpdateUserPermissions",
            UpdateUserPermissionsInput(uid=uid, body=body, mode=mode, allow_last_admin=allow_last_admin),
        )

    async def describe_user_permission(self, uid: str) -> list[UserPermission]:
        """Query the permissions of a RAM user or role."""
        return cast(
            "list[UserPermission]", await self._call("DescribeUserPermission", DescribeUserPermissionInput(uid=uid))
        )

    async def describe_user_cluster_namespaces(self, cluster_id: str) -> list[str]:
        """Query the namespaces of a cluster in which the caller is permitted something."""
        return cast(
            "list[str]",
            await self._call(
                "DescribeUserClusterNamespaces", DescribeUserClusterNamespacesInput(cluster_id=cluster_id)
            ),
        )

    async def clean_user_permissions(
        self,
        uid: str,
        *,
        cluster_ids: list[str] | None = None,
        force: bool = False,
        dry_run: bool = False,
        compromised: bool = False,
        allow_last_admin: bool = False,
    ) -> CleanUserPermissionsOutput:
        """Remove a user's kubeconfigs and permissions in several clusters."""
        return cast(
            "CleanUserPermissionsOutput",
            await self._call(
                "CleanUserPermissions",
                CleanUserPermissionsInput(
                    uid=uid,
                    cluster_ids=cluster_ids,
                    force=force,
                    dry_run=dry_run,
                    compromised=compromised,
                    allow_last_admin=allow_last_admin,
                ),
            ),
        )

    async def describe_task_info(self, task_id: str) -> DescribeTaskInfoOutput:
        """Query how far a task is."""
        return cast(
            "DescribeTaskInfoOutput", await self._call("DescribeTaskInfo", DescribeTaskInfoInput(task_id=task_id))
        )

    async def describe_cluster_tasks(
        self,
        cluster_id: str,
        *,
        page_number: int = 1,
        page_size: int = 50,
        max_results: int | None = None,
        next_token: str = "",
    ) -> DescribeClusterTasksOutput:
        """Query the tasks that have to do with a cluster."""
        return cast(
            "DescribeClusterTasksOutput",
            await self._call(
                "DescribeClusterTasks",
                DescribeClusterTasksInput(
                    cluster_id=cluster_id,
                    page_number=page_number,
                    page_size=page_size,
                    max_results=max_results,
                    next_token=next_token,
                ),
            ),
        )

    async def describe_user_cluster_activity_state(self, cluster_id: str, uid: str) -> ActivityStateOutput:
        """Query whether a user used their kubeconfig of a cluster in the last 7 days."""
        return cast(
            "ActivityStateOutput",
            await self._call("DescribeUserClusterActivityState", ActivityStateInput(cluster_id=cluster_id, uid=uid)),
        )

    async def describe_clusters_v1(
        self,
        *,
        name: str = "",
        cluster_type: str = "",
        cluster_spec: str = "",
        profile: str = "",
        region_id: str = "",
        cluster_id: str = "",
        page_number: int = 1,
        page_size: int = 10,
        detail: bool = False,
    ) -> DescribeClustersV1Output:
        """Query the clusters of the account, page by page."""
        return cast(
            "DescribeClustersV1Output",
            await self._call(
                "DescribeClustersV1",
                DescribeClustersV1Input(
                    name=name,
                    cluster_type=cluster_type,
                    cluster_spec=cluster_spec,
                    profile=profile,
                    region_id=region_id,
                    cluster_id=cluster_id,
                    page_number=page_number,
                    page_size=page_size,
                    detail=detail,
                ),
            ),
        )

    async def describe_clusters(
        self, *, name: str = "", cluster_type: str = "", resource_group_id: str = ""
    ) -> list[LegacyCluster]:
        """Query the clusters of the account, all at once."""
        return cast(
            "list[LegacyCluster]",
            await self._call(
                "DescribeClusters",
                DescribeClustersInput(name=name, cluster_type=cluster_type, resource_group_id=resource_group_id),
            ),
        )

    async def describe_clusters_for_region(
        self,
        region_id: str,
        *,
        name: str = "",
        cluster_type: str = "",
        cluster_spec: str = "",
        profile: str = "",
        cluster_id: str = "",
        page_number: int = 1,
        page_size: int = 10,
    ) -> DescribeClustersForRegionOutput:
        """Query the clusters of one region, page by page."""
        return cast(
            "DescribeClustersForRegionOutput",
            await self._call(
                "DescribeClustersForRegion",
                DescribeClustersForRegionInput(
                    region_id=region_id,
                    name=name,
                    cluster_type=cluster_type,
                    cluster_spec=cluster_spec,
                    profile=profile,
                    cluster_id=cluster_id,
                    page_number=page_number,
                    page_size=page_size,
                ),
            ),
        )

    async def describe_cluster_detail(self, cluster_id: str, *, detail: bool = False) -> ListedCluster:
        """Query one cluster."""
        return cast(
            "ListedCluster",
            await self._call("DescribeClusterDetail", DescribeClusterDetailInput(cluster_id=cluster_id, detail=detail)),
        )

    async def describe_user_quota(self) -> DescribeUserQuotaOutput:
        """Query the quotas of the account."""
        return cast("DescribeUserQuotaOutput", await self._call("DescribeUserQuota", DescribeUserQuotaInput()))

    async def describe_regions(
        self, *, accept_language: str = "", cluster_type: str = "", profile: str = ""
    ) -> DescribeRegionsOutput:
        """Query the regions."""
        return cast(
            "DescribeRegionsOutput",
            await self._call(
                "DescribeRegions",
                DescribeRegionsInput(accept_language=accept_language, cluster_type=cluster_type, profile=profile),
            ),
        )

    async def check_service_role(self, *, roles: list[WantedRole] | None = None) -> CheckServiceRoleOutput:
        """Check whether service roles are granted."""
        return cast("CheckServiceRoleOutput", await self._call("CheckServiceRole", CheckServiceRoleInput(roles=roles)))

    async def register_cluster(
        self,
        kubeconfig: str,
        name: str,
        *,
        context: str = "",
        region_id: str = "",
        public_endpoint: str = "",
        private_endpoint: str = "",
        declared_api_servers: int | None = None,
        replace_access: bool = False,
        replace_fields: bool = False,
        dry_run: bool = False,
    ) -> ClusterReportOutput:
        """Register a cluster that this server can reach."""
        return cast(
            "ClusterReportOutput",
            await self._call(
                "RegisterCluster",
                RegisterClusterInput(
                    kubeconfig=kubeconfig,
                    name=name,
                    context=context,
                    region_id=region_id,
                    public_endpoint=public_endpoint,
                    private_endpoint=private_endpoint,
                    declared_api_servers=declared_api_servers,
                    replace_access=replace_access,
                    replace_fields=replace_fields,
                    dry_run=dry_run,
                ),
            ),
        )

    async def apply_clusters(
        self, clusters: list[AppliedClusterInput], *, dry_run: bool = False
    ) -> ApplyClustersOutput:
        """Register several clusters, or change those that are registered, all of them or none."""
        return cast(
            "ApplyClustersOutput",
            await self._call("ApplyClusters", ApplyClustersInput(clusters=clusters, dry_run=dry_run)),
        )

    async def test_cluster(self, cluster_id: str) -> ClusterReportOutput:
        """Look at a cluster that this server can reach, now."""
        return cast("ClusterReportOutput", await self._call("TestCluster", TestClusterInput(cluster_id=cluster_id)))

    async def manage_cluster(
        self, cluster_id: str, *, mode: str = "manage", plan_hash: str = ""
    ) -> ManageClusterOutput:
        """Keep a cluster's bindings as they are wanted here, or only observe it."""
        return cast(
            "ManageClusterOutput",
            await self._call(
                "ManageCluster", ManageClusterInput(cluster_id=cluster_id, mode=mode, plan_hash=plan_hash)
            ),
        )

    async def remove_cluster(self, cluster_id: str, removal: str, *, dry_run: bool = False) -> RemoveClusterOutput:
        """Remove a cluster from this server, and say what lives on in it."""
        return cast(
            "RemoveClusterOutput",
            await self._call(
                "RemoveCluster", RemoveClusterInput(cluster_id=cluster_id, removal=removal, dry_run=dry_run)
            ),
        )

    async def list_events(
        self,
        *,
        uid: str = "",
        cluster_id: str = "",
        kind: str = "",
        start_time: str = "",
        end_time: str = "",
        next_token: str = "",
        max_results: int = 50,
    ) -> ListEventsOutput:
        """List what happened in the account."""
        return cast(
            "ListEventsOutput",
            await self._call(
                "ListEvents",
                ListEventsInput(
                    uid=uid,
                    cluster_id=cluster_id,
                    kind=kind,
                    start_time=start_time,
                    end_time=end_time,
                    next_token=next_token,
                    max_results=max_results,
                ),
            ),
        )

    async def list_own_events(
        self,
        *,
        cluster_id: str = "",
        kind: str = "",
        start_time: str = "",
        end_time: str = "",
        next_token: str = "",
        max_results: int = 50,
    ) -> ListEventsOutput:
        """List what happened that is about the caller."""
        return cast(
            "ListEventsOutput",
            await self._call(
                "ListOwnEvents",
                ListOwnEventsInput(
                    cluster_id=cluster_id,
                    kind=kind,
                    start_time=start_time,
                    end_time=end_time,
                    next_token=next_token,
                    max_results=max_results,
                ),
            ),
        )

    async def describe_request_error(self, request_id: str) -> DescribeRequestErrorOutput:
        """Query what went wrong in a request of the last hour."""
        return cast(
            "DescribeRequestErrorOutput",
            await self._call("DescribeRequestError", DescribeRequestErrorInput(request_id=request_id)),
        )
