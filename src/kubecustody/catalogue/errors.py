"""What each error code means on the wire: status, message, and what to do about it.

Codes and the wording of their messages follow the provider where it has them (product CS and its gateway);
which are ours is said in docs/provider-and-us.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from kubecustody.core.errors import (
    AccessDenied,
    ClustersNotUsable,
    MethodUnsupported,
    ParametersRefused,
    RequestError,
    ServiceUnavailable,
    SignatureMismatch,
    Throttled,
    TimestampExpired,
    TimestampMalformed,
    TimestampMissing,
)

ERROR_PAGE_PATH = "/docs/errors"


@dataclass(frozen=True, slots=True)
class ErrorDefinition:
    """One code. `message` is filled with the error's fields; `meaning` and `cure` are for the error's page."""

    code: str
    status: int
    message: str
    meaning: str
    cure: str


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What is told of one error. denial: the members of accessDeniedDetail; retry_after_ms: when to try again."""

    code: str
    status: int
    message: str
    denial: dict[str, str] | None = None
    retry_after_ms: int | None = None


INTERNAL_ERROR = ErrorDefinition(
    "InternalError",
    500,
    "The request processing has failed due to some unknown error. Give the request id to whoever runs this server.",
    "The server failed in a way that it did not foresee. Nothing was changed by the request.",
    "Try again; if it stays, whoever runs the server finds the cause in its log under the request id.",
)

ERRORS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "InvalidProtocol.NeedSsl",
        400,
        "Your request is denied as lack of ssl protect. Call over HTTPS, or through the declared proxy.",
        "This server speaks plain HTTP to its own machine and to declared proxies alone.",
        "Call the address of the proxy, which speaks HTTPS; or declare the proxy in trusted_proxies.",
    ),
    ErrorDefinition(
        "MalformedRequest",
        400,
        "The request is not well-formed HTTP/1.1. Look at its first line, its headers and its length.",
        "What came cannot be read as HTTP/1.1: an unknown method, bytes that must be percent-encoded, two lengths.",
        "Send well-formed HTTP/1.1; percent-encode every byte of the target that is not ASCII.",
    ),
    ErrorDefinition(
        "InvalidApi.NotFound",
        404,
        "Specified api is not found, please check your url and method. No operation has the path {path}.",
        "No operation has this path.",
        "Compare the path with the operation's page. The API stands at the root of the address, without a prefix.",
    ),
    ErrorDefinition(
        "UnsupportedHTTPMethod",
        400,
        "This http method is not supported: {method}. This path takes {allowed_methods}.",
        "The path belongs to an operation, but with another HTTP method.",
        "Use a method that the answer's Allow header names.",
    ),
    ErrorDefinition(
        "InvalidParameter",
        400,
        "{fault_texts}",
        "One or more parameters are missing, doubled, of the wrong type or out of bounds. All of them are named.",
        "Mend each parameter that the message names.",
    ),
    ErrorDefinition(
        "EntityNotExist.User",
        404,
        "The user does not exist: this account never had a user or role with the Uid {uid}. "
        "Give the Uid (digits) of a RAM user or role of this account.",
        "No user or role of the account has, or ever had, this Uid.",
        "Look the Uid up with `kubecustody admin users list`. A deleted user can still be listed.",
    ),
    ErrorDefinition(
        "ErrorClusterNotFound",
        404,
        "The cluster {cluster_id} does not exist in this account. DescribeClustersV1 lists those that do.",
        "No cluster of the account has, or ever had, this id.",
        "Look the id up with DescribeClustersV1 or `kubecustody admin clusters list`.",
    ),
    ErrorDefinition(
        "ErrorClusterState",
        400,
        "The cluster {cluster_id} does not allow this: {reason}",
        "The cluster's state, or how it is set up here, does not allow the operation.",
        "Do what the message says, or wait until the cluster is running.",
    ),
    ErrorDefinition(
        "QuotaExceeded.KubeConfig",
        400,
        "{uid} holds {limit} current kubeconfigs of this kind in the cluster {cluster_id}, as many as one may. "
        "End the oldest first (certificate {oldest_fingerprint}): RevokeK8sClusterKubeConfig ends all of one's own.",
        "A person may hold only so many current credentials in one cluster: settings most_long_lived, most_temporary.",
        "End what is no longer needed, or wait for a temporary one to expire.",
    ),
    ErrorDefinition(
        "ErrorAuditNotReadable",
        400,
        "The access records of the cluster {cluster_id} are not readable: audit is not connected. "
        "Nothing was cleaned. Force=True cleans without looking at them.",
        "Whether somebody still uses a kubeconfig is told by the API server's audit log, which is not connected here.",
        "Call again with Force=True where you know that it may go.",
    ),
    ErrorDefinition(
        "ForbiddenCleanUserPermissions",
        403,
        "The permissions of {whom} cannot be cleaned.",
        "Neither the account itself nor the caller themselves can be cleaned.",
        "Have somebody else clean you; the account's kubeconfigs end by RevokeK8sClusterKubeConfig.",
    ),
    ErrorDefinition(
        "ErrorCredentialNotFound",
        404,
        "The cluster {cluster_id} has no credential {credential} that is known here. ListCredentials finds a "
        "fingerprint or serial number in every cluster.",
        "No credential of the cluster has this fingerprint (64 hex digits) or serial number.",
        "Look it up with ListCredentials or `kubecustody find`.",
    ),
    ErrorDefinition(
        "ErrorCredentialAmbiguous",
        400,
        "Several credentials of the cluster {cluster_id} have the serial number {serial}. Name one by its fingerprint: "
        "{fingerprints}.",
        "A serial number is unique among the certificates of one CA only, and the cluster has had several.",
        "Name the credential by its fingerprint, which the message lists.",
    ),
    ErrorDefinition(
        "ForbiddenRevokeCredential",
        403,
        "This credential is not revoked here: {reason}",
        "It belongs to a component of the cluster, or it is the one by which this server reaches the cluster.",
        "Do what the message says. Components of a cluster are renewed with the cluster's own tools.",
    ),
    ErrorDefinition(
        "ForbiddenRestoreCredential",
        403,
        "Not restored: {reason}",
        "Not everything that was removed may come back.",
        "Do what the message says; mostly that is to issue a new kubeconfig.",
    ),
    ErrorDefinition(
        "ForbiddenGrantPermissions",
        403,
        "These permissions cannot be changed by this caller: {reason}",
        "Nobody grants to the account or to themselves, or more than they hold.",
        "Have the account itself, or somebody who holds as much, make the call.",
    ),
    ErrorDefinition(
        "ErrorLastAdmin",
        409,
        "Nobody would be permitted admin of the cluster {cluster_id} any more, and nothing was changed. Grant it to "
        "somebody else first, or say AllowLastAdmin=true.",
        "It takes the last admin of a managed cluster away.",
        "Grant admin of the cluster to somebody else first. Where it is meant so, say AllowLastAdmin=true.",
    ),
    ErrorDefinition(
        "ForbiddenQueryClusterNamespace",
        403,
        "The caller is permitted nothing in the cluster {cluster_id}, so its namespaces are not told.",
        "Namespaces are told to whom something is permitted in the cluster.",
        "Have permissions in the cluster granted (GrantPermissions).",
    ),
    ErrorDefinition(
        "ErrorTaskNotFound",
        404,
        "The task {task_id} does not exist in this account.",
        "No task of the account has this id.",
        "Use the task_id that the operation answered.",
    ),
    ErrorDefinition(
        "ErrorRequestNotFound",
        404,
        "No failed request {asked_id} of the last hour is known that you may see.",
        "Kept are the failed requests of the last hour, at most 1,000 of an account, whose signature held and that no "
        "limit refused. Users see their own, the account and delegated administrators all of the account.",
        "Compare the ID with the x-acs-request-id of the answer, and ask with the key that sent the request, or with "
        "the account's. What is wrong with a signature says the error answer itself; the rest says the server's log.",
    ),
    ErrorDefinition(
        "ErrorClusterNotUsable",
        400,
        "The cluster cannot be used so: {reason}",
        "The cluster does not answer this server, is not who it should be, does not sign, or is registered already.",
        "Do what the message says, and call again. RegisterCluster with DryRun=true gives a report alone.",
    ),
    ErrorDefinition(
        "ErrorClustersNotUsable",
        400,
        "Nothing was recorded. {fault_texts}",
        "Some of the clusters of one call cannot be recorded, and so none of them was.",
        "Do what the message says of each, and call again. ApplyClusters with DryRun=true records nothing.",
    ),
    ErrorDefinition(
        "ErrorPlanChanged",
        409,
        "The plan for the cluster {cluster_id} is no longer what would be done. Ask for it again; give its PlanHash.",
        "What is wanted, or what the cluster has, changed since the plan was shown.",
        "Ask for the plan again (`kubecustody clusters plan`), look at it, and confirm that one.",
    ),
    ErrorDefinition(
        "ErrorTooManyClusters",
        400,
        "There are {count} clusters, and this operation answers {limit} at most. DescribeClustersV1 answers them page "
        "by page.",
        "The operation answers everything at once, and there is too much of it.",
        "Use DescribeClustersV1, or narrow the call by name.",
    ),
    ErrorDefinition(
        "ErrorCertificateRequest",
        400,
        "The certificate request cannot be signed: {reason}",
        "The PKCS#10 request is not well-formed, its signature does not hold, or its key is of a kind not taken here.",
        "Make a request with a P-256, P-384, Ed25519 or RSA key of 2048 to 4096 bits, and send it as PEM.",
    ),
    ErrorDefinition(
        "ErrorJsonDecode",
        400,
        "The body cannot be read: {reason}",
        "The body is not JSON of the shape that the operation takes.",
        "Send the members that the operation's page names, as JSON in UTF-8, each once.",
    ),
    ErrorDefinition(
        "RequestEntityTooLarge",
        413,
        "The body is larger than the {limit_bytes} bytes that this server takes. Send less.",
        "The body has more bytes than the setting max_body_bytes allows.",
        "Send a smaller body.",
    ),
    ErrorDefinition(
        "RequestTimeout",
        408,
        "The body did not arrive within {limit_seconds:g} seconds. Send it again, faster.",
        "The body was sent too slowly.",
        "Send it again over a better connection.",
    ),
    ErrorDefinition(
        "Throttling.User",
        400,
        "Request was denied due to user flow control (limit per {limit}). Try again in {retry_after_ms} ms.",
        "More calls than the limit allows: per access key, per account, or, for failed signatures, per address.",
        "Wait as long as the header x-acs-retry-after says (milliseconds), and spread the calls.",
    ),
    ErrorDefinition(
        "ServiceUnavailable",
        503,
        "The request has failed due to a temporary failure of the server: {reason}. Try again in {retry_after_ms} ms.",
        "The server cannot answer at present. Nothing was changed by the request.",
        "Try again. If it stays, whoever runs the server finds the cause in its log under the request id.",
    ),
    ErrorDefinition(
        "ErrorInQuarantine",
        503,
        "The server was restored from a backup and is in quarantine: until its operator has looked at what may be "
        "missing, nothing is issued, granted or changed. Reading and removing work.",
        "What happened after the backup is lost, removals and disabled keys among it. Whoever runs the server accepts "
        "the restored store when that was looked at.",
        "On the server's machine: `kubecustody admin restore --accept --reason WHY`, which lists what may be missing.",
    ),
    ErrorDefinition(
        "StatusForbidden",
        403,
        "{policy_kind} Forbidden for action {action}: {decision}",
        "The caller's policies do not allow the call, or one of them denies it.",
        "Have a policy attached that allows the action on the resource, or the denying statement changed.",
    ),
    ErrorDefinition(
        "ForbiddenDelegatedAdmin",
        403,
        "A delegated administrator does not reach {whom}. Only the account itself may do this.",
        "A call that only the account may make was delegated, and what is delegated never reaches the account, the "
        "administrator themselves, or another delegated administrator.",
        "Have the account itself make the call.",
    ),
    ErrorDefinition(
        "IncompleteSignature",
        400,
        "The request signature does not conform to Aliyun standards: {reason}",
        "The Authorization header is absent or malformed, or does not cover what it must.",
        "Sign with ACS3-HMAC-SHA256, with host and every x-acs-* header among SignedHeaders.",
    ),
    ErrorDefinition(
        "InvalidSignatureMethod",
        400,
        "Specified signature method is not valid: {method}. Sign with ACS3-HMAC-SHA256.",
        "The Authorization header names another algorithm.",
        "Sign with ACS3-HMAC-SHA256.",
    ),
    ErrorDefinition(
        "MissingTimestamp",
        400,
        "Timestamp is mandatory for this action: send the header {header}, as {example}.",
        "There is no x-acs-date.",
        "Send and sign x-acs-date.",
    ),
    ErrorDefinition(
        "InvalidTimeStamp.Format",
        400,
        "Specified time stamp or date value is not well formatted: {header} is {value!r}; "
        "write it in UTC, as {example}.",
        "x-acs-date has not the form yyyy-MM-ddTHH:mm:ssZ.",
        "Write the time in UTC with whole seconds.",
    ),
    ErrorDefinition(
        "InvalidTimeStamp.Expired",
        400,
        "Specified time stamp or date value is expired: {header} is {value}, the server's clock {server_time}. "
        "{expiry_rule}",
        "x-acs-date lies more than 15 minutes before or after the server's clock.",
        "Set the clock of the calling machine.",
    ),
    ErrorDefinition(
        "MissingSignatureNonce",
        400,
        "SignatureNonce is mandatory for this action: send the header x-acs-signature-nonce, new for each request.",
        "There is no x-acs-signature-nonce.",
        "Send and sign a random x-acs-signature-nonce.",
    ),
    ErrorDefinition(
        "InvalidSignatureNonce",
        400,
        "Specified signature nonce is not valid: 1 to {limit_bytes} bytes, new for each request.",
        "x-acs-signature-nonce is empty or too long.",
        "Send a random value such as a UUID.",
    ),
    ErrorDefinition(
        "SignatureNonceUsed",
        400,
        "Specified signature nonce was used already. Sign each request anew, with a nonce of its own.",
        "This key has sent this nonce before: the request is a repetition.",
        "Sign again; a retry needs a new nonce and a new signature.",
    ),
    ErrorDefinition(
        "MissingContentSha256",
        400,
        "ContentSha256 is mandatory for this action: send the header x-acs-content-sha256, the SHA-256 of the body.",
        "There is no x-acs-content-sha256.",
        "Send and sign the lower-case hex SHA-256 of the body, also of an empty one.",
    ),
    ErrorDefinition(
        "ContentSha256NotMatched",
        400,
        "Specified x-acs-content-sha256 does not match the body: {claimed} was sent, the body has {actual}.",
        "The body that arrived is not the one that was signed.",
        "Hash exactly the bytes that are sent; look for a proxy that changes bodies.",
    ),
    ErrorDefinition(
        "InvalidAction.NotFound",
        404,
        "Specified action is not found: x-acs-action is {claimed!r}, but method and path are those of {routed}.",
        "x-acs-action names another operation than method and path do.",
        "Send the operation's own name, or leave the header out.",
    ),
    ErrorDefinition(
        "InvalidVersion",
        400,
        "Specified parameter Version is not valid: x-acs-version is {claimed!r}; {spoken} is spoken here.",
        "x-acs-version is not the version of this API.",
        "Send 2015-12-15.",
    ),
    ErrorDefinition(
        "InvalidAccessKeyId.NotFound",
        404,
        "Specified access key is not found: {access_key_id!r}. Check it, and that this is the server it belongs to.",
        "No such access key, or it, or the user that it belonged to, was deleted.",
        "Check the key id and the endpoint; make a new key with `kubecustody admin keys add`.",
    ),
    ErrorDefinition(
        "InvalidAccessKeyId.Inactive",
        400,
        "Specified access key is disabled: {access_key_id!r}, or the user that it belongs to.",
        "The access key, or the user or role that it belongs to, is disabled.",
        "Use another key, or have it enabled with `kubecustody admin keys enable`.",
    ),
    ErrorDefinition(
        "MissingSecurityToken",
        400,
        "SecurityToken is mandatory for this action: {access_key_id!r} is a temporary key. "
        "Send its token in the header x-acs-security-token.",
        "A temporary access key came without its security token.",
        "Send key id, secret and token as they were made together.",
    ),
    ErrorDefinition(
        "InvalidSecurityToken.Malformed",
        400,
        "Specified SecurityToken is malformed. Send it exactly as it was given, and to the server that gave it.",
        "The security token is none of this server's, or was changed on its way.",
        "Send the token as it was given; `kubecustody admin roles session` makes another.",
    ),
    ErrorDefinition(
        "InvalidSecurityToken.Expired",
        400,
        "Specified SecurityToken is expired: {since}. Make another session.",
        "The session is over.",
        "Make another session with `kubecustody admin roles session`.",
    ),
    ErrorDefinition(
        "InvalidSecurityToken.MismatchWithAccessKey",
        400,
        "Specified SecurityToken does not belong to the access key {access_key_id!r}. "
        "A permanent key comes without x-acs-security-token, a temporary one with its own.",
        "A security token came with a permanent access key, or with another temporary one.",
        "Send a permanent key alone, and a temporary key with its own token.",
    ),
    ErrorDefinition(
        "SignatureDoesNotMatch",
        400,
        "{calculation}",
        "The signature was made with another secret, or over another request than the one that arrived.",
        "Compare the canonical request in the message with the client's: where they differ, something on the way "
        "changed the request or it was signed wrongly; where they are equal, the secret is wrong.",
    ),
    INTERNAL_ERROR,
)

_DATE_EXAMPLES = {"x-acs-date": "2026-11-24T03:00:42Z", "Date": "Tue, 24 Nov 2026 03:00:42 GMT"}

_BY_CODE = {definition.code: definition for definition in ERRORS}


def get_error_definition(code: str) -> ErrorDefinition:
    """The definition of this code. KeyError without one."""
    return _BY_CODE[code]


def describe_error(error: RequestError) -> ErrorAnswer:
    """What a caller is told of this error."""
    definition = _BY_CODE[error.code]
    fields = asdict(error)
    fields.update(_extra_fields(error))
    return ErrorAnswer(
        definition.code,
        definition.status,
        definition.message.format(**fields),
        _denial(error) if isinstance(error, AccessDenied) else None,
        error.retry_after_ms if isinstance(error, Throttled | ServiceUnavailable) else None,
    )


def _extra_fields(error: RequestError) -> dict[str, str]:
    if isinstance(error, ParametersRefused | ClustersNotUsable):
        return {"fault_texts": " ".join(f"{fault.parameter}: {fault.text}" for fault in error.faults)}
    if isinstance(error, AccessDenied):
        return {"policy_kind": _policy_kind(error), "decision": _decision(error)}
    if isinstance(error, MethodUnsupported):
        return {"allowed_methods": ", ".join(error.allowed)}
    if isinstance(error, TimestampExpired):
        return {"expiry_rule": error.reason or "They may differ by 15 minutes at most: set the clock of the caller."}
    if isinstance(error, TimestampMissing | TimestampMalformed):
        return {"example": _DATE_EXAMPLES.get(error.header, "2026-11-24T03:00:42Z")}
    if isinstance(error, SignatureMismatch):
        return {"calculation": _calculation(error)}
    return {}


def _calculation(error: SignatureMismatch) -> str:
    """What we calculated, in the provider's words: old clients compare what follows the colon with their own."""
    if not error.canonical_request:
        return (
            f"Specified signature is not matched with our calculation. server string to sign is:{error.string_to_sign}"
        )
    return (
        f"Specified signature does not match our calculation. server StringToSign is [{error.string_to_sign}] "
        f"server CanonicalRequest is [{error.canonical_request}]"
    )


def _policy_kind(error: AccessDenied) -> str:
    return "STSToken policy" if error.principal_type == "AssumedRoleUser" else "RAM policy"


def _decision(error: AccessDenied) -> str:
    if error.by_session_policy:
        return f"the policy of the session does not allow it on {error.resource}."
    if error.account_only:
        return "only the account itself may call it, or an administrator whom it delegated this very action to."
    if error.explicit:
        return f"the policy {error.deciding_policy} denies it to {error.principal_uid} on {error.resource}."
    return (
        f"no policy of {error.principal_uid} allows it on {error.resource}. "
        "Have one attached that does, such as AliyunCSReadOnlyAccess for calls that only read."
    )


def _denial(error: AccessDenied) -> dict[str, str]:
    """The members of accessDeniedDetail, as the provider names them (RAM, "DecodeDiagnosticMessage", 2026-11-24)."""
    return {
        "AuthAction": error.action,
        "AuthPrincipalDisplayName": f"{error.principal_uid}:{error.session_name}"
        if error.session_name
        else error.principal_uid,
        "AuthPrincipalOwnerId": error.account_id,
        "AuthPrincipalType": error.principal_type,
        "NoPermissionType": "ExplicitDeny" if error.explicit else "ImplicitDeny",
        "PolicyType": "SessionPolicy" if error.by_session_policy else "AccountLevelIdentityBasedPolicy",
    }


def all_request_errors(root: type[RequestError] = RequestError) -> Iterator[type[RequestError]]:
    """Every class of error that has a code."""
    subclasses: Iterable[type[RequestError]] = root.__subclasses__()
    for subclass in subclasses:
        if "code" in vars(subclass):
            yield subclass
        yield from all_request_errors(subclass)
