"""The errors that this project raises on purpose, one tree.

    CustodyError
    ├── RequestError                 answered to a caller; the catalogue gives its code a status and a text
    │   ├── RequestMalformed         MalformedRequest
    │   ├── ProtocolNeedsTls         InvalidProtocol.NeedSsl
    │   ├── ApiNotFound              InvalidApi.NotFound
    │   ├── MethodUnsupported        UnsupportedHTTPMethod
    │   ├── ParametersRefused        InvalidParameter
    │   ├── UserNotFound             EntityNotExist.User
    │   ├── ClusterNotFound          ErrorClusterNotFound
    │   ├── ClusterStateForbids      ErrorClusterState
    │   ├── TooManyCredentials       QuotaExceeded.KubeConfig
    │   ├── AuditNotReadable         ErrorAuditNotReadable
    │   ├── CleanForbidden           ForbiddenCleanUserPermissions
    │   ├── RestoreForbidden         ForbiddenRestoreCredential
    │   ├── GrantForbidden           ForbiddenGrantPermissions
    │   ├── LastAdmin                ErrorLastAdmin
    │   ├── NamespaceQueryForbidden  ForbiddenQueryClusterNamespace
    │   ├── TaskNotFound             ErrorTaskNotFound
    │   ├── RequestNotKept           ErrorRequestNotFound
    │   ├── ClusterNotUsable         ErrorClusterNotUsable
    │   ├── ClustersNotUsable        ErrorClustersNotUsable
    │   ├── PlanChanged              ErrorPlanChanged
    │   ├── TooManyClusters          ErrorTooManyClusters
    │   ├── CertificateRequestRefused  ErrorCertificateRequest
    │   ├── BodyMalformed            ErrorJsonDecode
    │   ├── BodyTooLarge             RequestEntityTooLarge
    │   ├── BodyTooSlow              RequestTimeout
    │   ├── Throttled                Throttling.User
    │   ├── ServiceUnavailable       ServiceUnavailable
    │   ├── AccessDenied             StatusForbidden
    │   ├── BeyondDelegation         ForbiddenDelegatedAdmin
    │   └── SignatureError
    │       ├── SignatureIncomplete      IncompleteSignature
    │       ├── SignatureMethodUnknown   InvalidSignatureMethod
    │       ├── TimestampMissing         MissingTimestamp
    │       ├── TimestampMalformed       InvalidTimeStamp.Format
    │       ├── TimestampExpired         InvalidTimeStamp.Expired
    │       ├── NonceMissing             MissingSignatureNonce
    │       ├── NonceMalformed           InvalidSignatureNonce
    │       ├── NonceUsed                SignatureNonceUsed
    │       ├── ContentHashMissing       MissingContentSha256
    │       ├── ContentHashMismatch      ContentSha256NotMatched
    │       ├── ActionMismatch           InvalidAction.NotFound
    │       ├── VersionMismatch          InvalidVersion
    │       ├── AccessKeyNotFound        InvalidAccessKeyId.NotFound
    │       ├── AccessKeyInactive        InvalidAccessKeyId.Inactive
    │       ├── SecurityTokenMissing     MissingSecurityToken
    │       ├── SecurityTokenMalformed   InvalidSecurityToken.Malformed
    │       ├── SecurityTokenExpired     InvalidSecurityToken.Expired
    │       ├── SecurityTokenForeign     InvalidSecurityToken.MismatchWithAccessKey
    │       └── SignatureMismatch        SignatureDoesNotMatch
    └── OperatorError                told to the person at the machine; its text says what to do

A request error holds facts, not sentences: `catalogue.errors` turns it into a status and a message.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple


class CustodyError(Exception):
    """Every error that this project raises on purpose."""


class OperatorError(CustodyError):
    """A fault of settings, files or arguments, told at the machine itself. Its text says what to do."""


@dataclass(eq=False)
class RequestError(CustodyError):
    """An error answered to a caller. `code` is the one on the wire."""

    code: ClassVar[str]


class Fault(NamedTuple):
    """One thing that is wrong with one parameter: its wire name, and what it must be instead."""

    parameter: str
    text: str


@dataclass(eq=False)
class RequestMalformed(RequestError):
    """What came is not HTTP/1.1, or has bytes where they may not be."""

    code: ClassVar[str] = "MalformedRequest"


@dataclass(eq=False)
class ProtocolNeedsTls(RequestError):
    """Plain HTTP came from neither this machine nor a declared proxy."""

    code: ClassVar[str] = "InvalidProtocol.NeedSsl"


@dataclass(eq=False)
class ApiNotFound(RequestError):
    """No operation has this path."""

    code: ClassVar[str] = "InvalidApi.NotFound"
    path: str


@dataclass(eq=False)
class MethodUnsupported(RequestError):
    """The path exists, but not with this method. `allowed` is sorted."""

    code: ClassVar[str] = "UnsupportedHTTPMethod"
    method: str
    allowed: tuple[str, ...]


@dataclass(eq=False)
class ParametersRefused(RequestError):
    """One or more parameters are wrong; all of them are named at once, in the operation's order."""

    code: ClassVar[str] = "InvalidParameter"
    faults: tuple[Fault, ...]


@dataclass(eq=False)
class UserNotFound(RequestError):
    """The account never had a user or role of this uid."""

    code: ClassVar[str] = "EntityNotExist.User"
    uid: str


@dataclass(eq=False)
class ClusterNotFound(RequestError):
    """The account never had a cluster of this id."""

    code: ClassVar[str] = "ErrorClusterNotFound"
    cluster_id: str


@dataclass(eq=False)
class ClusterStateForbids(RequestError):
    """What is asked cannot be done in this cluster as it is. `reason` says why and what to do."""

    code: ClassVar[str] = "ErrorClusterState"
    cluster_id: str
    reason: str


@dataclass(eq=False)
class TooManyCredentials(RequestError):
    """The person holds as many current credentials in this cluster as the limit allows."""

    code: ClassVar[str] = "QuotaExceeded.KubeConfig"
    uid: str
    cluster_id: str
    limit: int
    oldest_fingerprint: str


@dataclass(eq=False)
class AuditNotReadable(RequestError):
    """Whether somebody still uses a credential cannot be told: no audit log is connected."""

    code: ClassVar[str] = "ErrorAuditNotReadable"
    cluster_id: str


@dataclass(eq=False)
class CleanForbidden(RequestError):
    """Nobody cleans the account, or themselves. `whom` says which."""

    code: ClassVar[str] = "ForbiddenCleanUserPermissions"
    whom: str


@dataclass(eq=False)
class CredentialNotFound(RequestError):
    """The cluster has no credential of this fingerprint or serial number."""

    code: ClassVar[str] = "ErrorCredentialNotFound"
    credential: str
    cluster_id: str


@dataclass(eq=False)
class CredentialAmbiguous(RequestError):
    """Several credentials of the cluster have this serial number."""

    code: ClassVar[str] = "ErrorCredentialAmbiguous"
    serial: str
    cluster_id: str
    fingerprints: str


@dataclass(eq=False)
class RevokeForbidden(RequestError):
    """This credential is not revoked here. `reason` says why and what to do."""

    code: ClassVar[str] = "ForbiddenRevokeCredential"
    reason: str


@dataclass(eq=False)
class RestoreForbidden(RequestError):
    """This credential is not restored. `reason` says why and what to do."""

    code: ClassVar[str] = "ForbiddenRestoreCredential"
    reason: str


@dataclass(eq=False)
class LastAdmin(RequestError):
    """Nobody would be admin of a managed cluster any more."""

    code: ClassVar[str] = "ErrorLastAdmin"
    cluster_id: str


@dataclass(eq=False)
class GrantForbidden(RequestError):
    """The caller may not change these permissions. `reason` says why."""

    code: ClassVar[str] = "ForbiddenGrantPermissions"
    reason: str


@dataclass(eq=False)
class NamespaceQueryForbidden(RequestError):
    """The caller is permitted nothing in the cluster, so its namespaces are not told."""

    code: ClassVar[str] = "ForbiddenQueryClusterNamespace"
    cluster_id: str


@dataclass(eq=False)
class TaskNotFound(RequestError):
    """The account never had a task of this id."""

    code: ClassVar[str] = "ErrorTaskNotFound"
    task_id: str


@dataclass(eq=False)
class RequestNotKept(RequestError):
    """No failed request of this id is kept that the caller may see."""

    code: ClassVar[str] = "ErrorRequestNotFound"
    asked_id: str


@dataclass(eq=False)
class ClusterNotUsable(RequestError):
    """A cluster cannot be registered, managed or asked to sign. `reason` says why and what to do."""

    code: ClassVar[str] = "ErrorClusterNotUsable"
    reason: str


@dataclass(eq=False)
class ClustersNotUsable(RequestError):
    """Of several clusters, which are recorded together or not at all, some cannot be; each is named with its fault."""

    code: ClassVar[str] = "ErrorClustersNotUsable"
    faults: tuple[Fault, ...]


@dataclass(eq=False)
class PlanChanged(RequestError):
    """A plan that is to be carried out is no longer what would be done."""

    code: ClassVar[str] = "ErrorPlanChanged"
    cluster_id: str


@dataclass(eq=False)
class TooManyClusters(RequestError):
    """More clusters than one answer may hold."""

    code: ClassVar[str] = "ErrorTooManyClusters"
    count: int
    limit: int


@dataclass(eq=False)
class CertificateRequestRefused(RequestError):
    """A PKCS#10 request cannot be signed. `reason` says why and what to do."""

    code: ClassVar[str] = "ErrorCertificateRequest"
    reason: str


@dataclass(eq=False)
class BodyMalformed(RequestError):
    """The body is not the JSON that the operation takes. `reason` says where and what is wanted."""

    code: ClassVar[str] = "ErrorJsonDecode"
    reason: str


@dataclass(eq=False)
class BodyTooLarge(RequestError):
    """The body has more bytes than the server takes."""

    code: ClassVar[str] = "RequestEntityTooLarge"
    limit_bytes: int


@dataclass(eq=False)
class BodyTooSlow(RequestError):
    """The body did not arrive in time."""

    code: ClassVar[str] = "RequestTimeout"
    limit_seconds: float


@dataclass(eq=False)
class Throttled(RequestError):
    """More calls than the limit allows. `limit` names which limit: "key" or "address"."""

    code: ClassVar[str] = "Throttling.User"
    limit: str
    retry_after_ms: int


@dataclass(eq=False)
class InQuarantine(RequestError):
    """The store was restored from a backup, and what may be missing in it has not been looked at."""

    code: ClassVar[str] = "ErrorInQuarantine"


@dataclass(eq=False)
class ServiceUnavailable(RequestError):
    """The service cannot answer at present. `reason` says what is the matter, and nothing about the data."""

    code: ClassVar[str] = "ServiceUnavailable"
    reason: str
    retry_after_ms: int = 1000


@dataclass(eq=False)
class AccessDenied(RequestError):
    """No policy allows the call (`explicit` false), or one denies it (true).

    principal_type is `SubUser` or `AssumedRoleUser`; `deciding_policy` names the policy of an explicit deny;
    account_only: no policy would help, since only the account itself may call it, or whom it delegated that to.
    session_name: of a session; by_session_policy: it is the session's own policy that decided.
    """

    code: ClassVar[str] = "StatusForbidden"
    action: str
    resource: str
    principal_uid: str
    principal_type: str
    account_id: str
    explicit: bool
    deciding_policy: str | None = None
    account_only: bool = False
    session_name: str = ""
    by_session_policy: bool = False


@dataclass(eq=False)
class BeyondDelegation(RequestError):
    """A delegated administrator acts on whom they do not reach. `whom` says on whom."""

    code: ClassVar[str] = "ForbiddenDelegatedAdmin"
    whom: str


@dataclass(eq=False)
class SignatureError(RequestError):
    """The request is not proven to come from the holder of an access key."""


@dataclass(eq=False)
class SignatureIncomplete(SignatureError):
    """The Authorization header is absent or malformed, or leaves out what must be signed."""

    code: ClassVar[str] = "IncompleteSignature"
    reason: str


@dataclass(eq=False)
class SignatureMethodUnknown(SignatureError):
    """The Authorization header names an algorithm that is not spoken here."""

    code: ClassVar[str] = "InvalidSignatureMethod"
    method: str


@dataclass(eq=False)
class TimestampMissing(SignatureError):
    """There is no date. `header` is the one that this signature takes it from."""

    code: ClassVar[str] = "MissingTimestamp"
    header: str = "x-acs-date"


@dataclass(eq=False)
class TimestampMalformed(SignatureError):
    """The date is not of the form that its header has."""

    code: ClassVar[str] = "InvalidTimeStamp.Format"
    value: str
    header: str = "x-acs-date"


@dataclass(eq=False)
class TimestampExpired(SignatureError):
    """The date is too far from the server's clock, or older than what the server can vouch for.

    `reason` completes the sentence where the ordinary text (15 minutes either way) does not hold.
    """

    code: ClassVar[str] = "InvalidTimeStamp.Expired"
    value: str
    server_time: str
    reason: str = ""
    header: str = "x-acs-date"


@dataclass(eq=False)
class NonceMissing(SignatureError):
    """There is no x-acs-signature-nonce."""

    code: ClassVar[str] = "MissingSignatureNonce"


@dataclass(eq=False)
class NonceMalformed(SignatureError):
    """x-acs-signature-nonce is empty or longer than `limit_bytes`."""

    code: ClassVar[str] = "InvalidSignatureNonce"
    limit_bytes: int


@dataclass(eq=False)
class NonceUsed(SignatureError):
    """This key has already sent this nonce."""

    code: ClassVar[str] = "SignatureNonceUsed"
    nonce: str


@dataclass(eq=False)
class ContentHashMissing(SignatureError):
    """There is no x-acs-content-sha256."""

    code: ClassVar[str] = "MissingContentSha256"


@dataclass(eq=False)
class ContentHashMismatch(SignatureError):
    """x-acs-content-sha256 is not the hash of the body that arrived."""

    code: ClassVar[str] = "ContentSha256NotMatched"
    claimed: str
    actual: str


@dataclass(eq=False)
class ActionMismatch(SignatureError):
    """x-acs-action names another operation than method and path do."""

    code: ClassVar[str] = "InvalidAction.NotFound"
    claimed: str
    routed: str


@dataclass(eq=False)
class VersionMismatch(SignatureError):
    """x-acs-version is not the version that is spoken here."""

    code: ClassVar[str] = "InvalidVersion"
    claimed: str
    spoken: str


@dataclass(eq=False)
class AccessKeyNotFound(SignatureError):
    """No such access key, or it, or its holder, was deleted."""

    code: ClassVar[str] = "InvalidAccessKeyId.NotFound"
    access_key_id: str


@dataclass(eq=False)
class AccessKeyInactive(SignatureError):
    """The access key, or its holder, is disabled."""

    code: ClassVar[str] = "InvalidAccessKeyId.Inactive"
    access_key_id: str


@dataclass(eq=False)
class SecurityTokenMissing(SignatureError):
    """A temporary key came without its security token."""

    code: ClassVar[str] = "MissingSecurityToken"
    access_key_id: str


@dataclass(eq=False)
class SecurityTokenMalformed(SignatureError):
    """A security token is none of ours, or was changed."""

    code: ClassVar[str] = "InvalidSecurityToken.Malformed"


@dataclass(eq=False)
class SecurityTokenExpired(SignatureError):
    """A session is over: its time has come, or all sessions of its role were ended. `since` is a text."""

    code: ClassVar[str] = "InvalidSecurityToken.Expired"
    since: str


@dataclass(eq=False)
class SecurityTokenForeign(SignatureError):
    """A security token came with a key that is not temporary, or with another than its own."""

    code: ClassVar[str] = "InvalidSecurityToken.MismatchWithAccessKey"
    access_key_id: str


@dataclass(eq=False)
class SignatureMismatch(SignatureError):
    """The signature is not the one that this secret gives. Both texts are functions of the request alone.

    canonical_request is "" with the older signature, which has none.
    """

    code: ClassVar[str] = "SignatureDoesNotMatch"
    string_to_sign: str
    canonical_request: str
