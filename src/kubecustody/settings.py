"""The settings, one table: name, type, unit, default and meaning of each.

A setting is taken from the environment (KUBECUSTODY_<NAME>), else from the file `kubecustody.toml` in the data
folder (or the file that KUBECUSTODY_CONFIG names), else from its default.
"""

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, get_type_hints

from kubecustody.core.errors import OperatorError
from kubecustody.core.issuing import LONGEST_DAYS, PROVIDER_DAYS
from kubecustody.core.urls import split_url

PREFIX = "KUBECUSTODY_"
CONFIG_FILE_NAME = "kubecustody.toml"

# Variables with our prefix that are no settings: of the key ring, of clients, of the tests.
_OTHER_VARIABLES = {"config", "key_ring", "endpoint", "ca", "size"}

# What Kubernetes puts into a Pod for each Service of its namespace (kubernetes.io/docs/concepts/services-networking/
# service/, "Environment variables", read 2026-11-25), in lower case behind the prefix: names, and what the values are.
_SERVICE = r"(?:[a-z0-9_]+_)?"
_SERVICE_VARIABLES = tuple(
    (re.compile(_SERVICE + name), re.compile(value))
    for name, value in (
        (r"service_host", r"[0-9a-fA-F.:]+"),
        (r"service_port(_[a-z0-9_]+)?", r"\d+"),
        (r"port(_\d+_(tcp|udp|sctp))?", r"(tcp|udp|sctp)://[0-9a-fA-F.:\[\]]+:\d+"),
        (r"port_\d+_(tcp|udp|sctp)_proto", r"tcp|udp|sctp"),
        (r"port_\d+_(tcp|udp|sctp)_port", r"\d+"),
        (r"port_\d+_(tcp|udp|sctp)_addr", r"[0-9a-fA-F.:]+"),
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4-mapped addresses (RFC 4291, 2.5.5.2)

# How long a nonce is remembered (15 minutes and a grace), and how full a table may be before buckets overflow.
_NONCE_SECONDS, _NONCE_ROOM = 960, 1.3


class SettingsRefused(OperatorError):
    """One or more settings are wrong; the text names each of them and what it must be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `default` is text, as in the environment; "" stands for what `doc` says."""

    name: str
    type: type
    default: str
    doc: str
    unit: str = ""
    minimum: float | None = None
    values: tuple[str, ...] = ()


TABLE: tuple[Setting, ...] = (
    Setting(
        "data_dir",
        Path,
        "",
        "Folder of the store. Default: kubecustody in the user's data folder (XDG_DATA_HOME, else ~/.local/share).",
    ),
    Setting(
        "key_ring_file",
        Path,
        "",
        "File with the master keys that seal every secret. Default: the data folder's "
        "name with .key-ring, beside it, so that a copy of the folder never holds it. "
        "KUBECUSTODY_KEY_RING may hold the text instead.",
    ),
    Setting("listen", str, "127.0.0.1:8443", "Address and port of the API."),
    Setting(
        "tls",
        str,
        "on",
        "Whether the API speaks HTTPS. `off` only on loopback or behind a declared proxy.",
        values=("on", "off"),
    ),
    Setting("tls_certificate_file", Path, "", "PEM certificate chain. Default: the one that `init` made."),
    Setting("tls_key_file", Path, "", "PEM private key. Default: the one that `init` made."),
    Setting(
        "trusted_proxies",
        str,
        "",
        "Networks of proxies in front, comma-separated (10.0.0.5,10.1.0.0/16): from "
        "them X-Forwarded-For is believed, its last entry that is no proxy of these.",
    ),
    Setting(
        "public_url",
        str,
        "",
        "Address under which callers reach the API; links in answers begin with it. Default: made from `listen`.",
    ),
    Setting(
        "pages",
        str,
        "on",
        "Whether documentation, error centre and API explorer are served beside the API.",
        values=("on", "off"),
    ),
    Setting(
        "pages_prefix",
        str,
        "",
        "Path before those pages, such as /custody: they are then at /custody/docs. The API stays at the root.",
    ),
    Setting(
        "workers",
        int,
        "1",
        "Processes that answer the API. Nonces are shared; each has limits of its own.",
        minimum=1,
    ),
    Setting("metrics_listen", str, "127.0.0.1:9464", "Address and port of the metrics; `off`: none."),
    Setting(
        "access_log",
        str,
        "on",
        "Whether each request is written to standard output, one JSON object a line.",
        values=("on", "off"),
    ),
    Setting("max_body_bytes", int, "262144", "Largest body of an operation that takes one.", "bytes", 1),
    Setting("body_timeout_seconds", float, "10", "How long a body may take to arrive.", "seconds", 0.01),
    Setting("graceful_timeout_seconds", int, "10", "How long a stop waits for running requests.", "seconds", 0),
    Setting(
        "key_rate_per_second",
        float,
        "100",
        "Requests of one access key, in the long run, over all workers; 0: no limit.",
        "requests per second",
        0,
    ),
    Setting("key_burst", int, "1000", "Requests of one access key at once, over all workers.", "requests", 1),
    Setting(
        "account_rate_per_second",
        float,
        "200",
        "Requests of one account, in the long run, over all its keys and all workers; 0: no limit.",
        "requests per second",
        0,
    ),
    Setting("account_burst", int, "2000", "Requests of one account at once, over all workers.", "requests", 1),
    Setting(
        "failed_signature_rate_per_second",
        float,
        "20",
        "Failed signatures of one address, in the long run; 0: no limit.",
        "requests per second",
        0,
    ),
    Setting("failed_signature_burst", int, "200", "Failed signatures of one address at once.", "requests", 1),
    Setting(
        "nonce_slots",
        int,
        "524288",
        "How many nonces can be remembered, 16 bytes each: one for each request of 15 minutes. A full table refuses.",
        "nonces",
        1024,
    ),
    Setting(
        "legacy_signatures",
        str,
        "reads",
        "Whether old clients may sign by ROA HMAC-SHA1, which covers less: everything (on), calls that only read, or "
        "nothing (off). The provider's Go SDK v5, and so ack-ram-tool, signs this way unless told otherwise.",
        values=("on", "reads", "off"),
    ),
    Setting(
        "cluster_networks",
        str,
        "",
        "Networks in which clusters are reached, comma-separated (10.0.0.0/8); nothing else is then connected to. "
        "Loopback only where a loopback address is named; link-local never. Default: every other address.",
    ),
    Setting(
        "observe_every_seconds",
        float,
        "60",
        "How often each cluster that can be reached is looked at; 0: only when asked.",
        "seconds",
        0,
    ),
    Setting(
        "validity_days",
        int,
        "90",
        "Validity of a long-lived kubeconfig, a year at most; never past the cluster's CA. "
        "The provider's own is 1095, which is taken too.",
        "days",
        1,
    ),
    Setting(
        "certificate_key_type",
        str,
        "p256",
        "Kind of the keys that are made for people.",
        values=("p256", "rsa2048", "ed25519"),
    ),
    Setting(
        "keep_private_keys",
        str,
        "on",
        "Whether private keys of issued kubeconfigs are kept, sealed. Off: each call "
        "issues anew and asks the removal of the one before.",
        values=("on", "off"),
    ),
    Setting(
        "destroy_private_keys",
        str,
        "after_proof",
        "When the sealed key of a removed kubeconfig is destroyed: after its removal was first proved, or never. "
        "Backups from before hold it still.",
        values=("after_proof", "never"),
    ),
    Setting(
        "kubeconfig_names",
        str,
        "unique",
        "How clusters and users are called in a kubeconfig: unique per cluster, "
        "so that files merge, or as the provider calls them.",
        values=("unique", "provider"),
    ),
    Setting(
        "most_long_lived", int, "20", "Current long-lived kubeconfigs of one person in one cluster.", "kubeconfigs", 1
    ),
    Setting(
        "most_temporary", int, "500", "Current temporary kubeconfigs of one person in one cluster.", "kubeconfigs", 1
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. Each field is described in TABLE."""

    data_dir: Path
    key_ring_file: Path
    listen: str
    tls: str
    tls_certificate_file: Path
    tls_key_file: Path
    trusted_proxies: str
    public_url: str
    pages: str
    pages_prefix: str
    workers: int
    metrics_listen: str
    access_log: str
    max_body_bytes: int
    body_timeout_seconds: float
    graceful_timeout_seconds: int
    key_rate_per_second: float
    key_burst: int
    account_rate_per_second: float
    account_burst: int
    failed_signature_rate_per_second: float
    failed_signature_burst: int
    nonce_slots: int
    legacy_signatures: str
    cluster_networks: str
    observe_every_seconds: float
    validity_days: int
    certificate_key_type: str
    keep_private_keys: str
    destroy_private_keys: str
    kubeconfig_names: str
    most_long_lived: int
    most_temporary: int

    @property
    def store_file(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "kubecustody.db"

    @property
    def nonces_file(self) -> Path:
        """The table of spent nonces."""
        return self.data_dir / "nonces"

    @property
    def tls_root_file(self) -> Path:
        """The root certificate that `init` made, for clients to trust."""
        return self.data_dir / "tls" / "root.pem"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API."""
        return split_address("listen", self.listen)

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port of the metrics; None where they are off."""
        return None if self.metrics_listen == "off" else split_address("metrics_listen", self.metrics_listen)

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of declared proxies."""
        return _networks(self.trusted_proxies)

    @property
    def networks_of_clusters(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks in which clusters are reached; none: all but loopback and link-local."""
        return _networks(self.cluster_networks)


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def load_settings(environment: Mapping[str, str] = os.environ, overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings in force; `overrides` stand above the environment. Raises SettingsRefused naming every fault."""
    given: dict[str, str] = {
        name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)
    }
    given.update(overrides or {})
    data_dir = Path(given.get("data_dir") or _default_data_dir(environment)).expanduser()
    config_file = Path(given.get("config") or data_dir / CONFIG_FILE_NAME)
    from_file = _read_file(config_file, must_exist="config" in given)
    faults = [
        f"{config_file}: {name} is no setting. `kubecustody settings` lists them all."
        for name in sorted(set(from_file) - {setting.name for setting in TABLE})
    ]
    faults += [
        f"{PREFIX}{name.upper()} is no setting. `kubecustody settings` lists them all."
        for name in sorted(set(given) - {setting.name for setting in TABLE} - _OTHER_VARIABLES)
        if not _is_of_service(name, given[name])
    ]
    texts = {**from_file, **given}
    values = {setting.name: _read(setting, texts.get(setting.name, ""), faults) for setting in TABLE}
    if not faults:
        _fill_defaults(values, data_dir)
        _check_together(values, faults)
    if faults:
        raise SettingsRefused("\n".join(faults))
    return Settings(**values)


def _is_of_service(name: str, value: str) -> bool:
    """Whether Kubernetes put this variable into the Pod, for a Service whose name begins with kubecustody."""
    return any(form.fullmatch(name) and values.fullmatch(value) for form, values in _SERVICE_VARIABLES)


def _default_data_dir(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_DATA_HOME") or str(Path(environment.get("HOME", "~")) / ".local" / "share")
    return Path(base) / "kubecustody"


def _read_file(path: Path, *, must_exist: bool) -> dict[str, str]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise SettingsRefused(f"There is no settings file {path}, which KUBECUSTODY_CONFIG names.") from None
        return {}
    except OSError as error:
        raise SettingsRefused(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"The settings file {path} is not TOML: {error}.") from error
    return {name: str(value) for name, value in content.items()}


def _read(setting: Setting, text: str, faults: list[str]) -> Any:
    text = text or setting.default
    try:
        value = Path(text).expanduser() if setting.type is Path else setting.type(text)
    except ValueError:
        faults.append(f"{setting.name} is {text!r}; it must be a number ({setting.unit or setting.type.__name__}).")
        return None
    if setting.minimum is not None and isinstance(value, int | float) and not value >= setting.minimum:
        faults.append(f"{setting.name} is {text}; it must be at least {setting.minimum:g}.")
    if setting.values and value not in setting.values:
        faults.append(f"{setting.name} is {text!r}; it must be one of {', '.join(setting.values)}.")
    return value


def _fill_defaults(values: dict[str, Any], data_dir: Path) -> None:
    values["data_dir"] = data_dir
    if values["key_ring_file"] == Path():
        values["key_ring_file"] = data_dir.with_name(data_dir.name + ".key-ring")
    if values["tls_certificate_file"] == Path():
        values["tls_certificate_file"] = data_dir / "tls" / "server.pem"
    if values["tls_key_file"] == Path():
        values["tls_key_file"] = data_dir / "tls" / "server-key.pem"
    if not values["public_url"]:
        scheme = "http" if values["tls"] == "off" else "https"
        values["public_url"] = f"{scheme}://{values['listen']}"
    values["public_url"] = values["public_url"].rstrip("/")
    values["pages_prefix"] = values["pages_prefix"].rstrip("/")


def _check_together(values: dict[str, Any], faults: list[str]) -> None:
    for name in ("listen", "metrics_listen"):
        if name == "metrics_listen" and values[name] == "off":
            continue
        try:
            split_address(name, values[name])
        except SettingsRefused as fault:
            faults.append(str(fault))
    public_host = _host_of(values["public_url"])
    if not public_host:
        faults.append(f"public_url is {values['public_url']!r}; it must be https://HOST[:PORT], without a path.")
    if not re.fullmatch(r"(/[A-Za-z0-9_-]+)*", values["pages_prefix"]):
        faults.append(
            f"pages_prefix is {values['pages_prefix']!r}; it must be empty, or a path such as /custody of letters, "
            "digits, _ and -."
        )
    for name in ("trusted_proxies", "cluster_networks"):
        for part in filter(None, (part.strip() for part in values[name].split(","))):
            try:
                network = ip_network(part)
            except ValueError:
                faults.append(f"{name} has {part!r}; each must be an address or a network such as 10.1.0.0/16.")
                continue
            if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
                mapped = f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}"
                faults.append(f"{name} has {part!r}, IPv4 within IPv6, which counts as IPv4: write {mapped}.")
    if not faults and values["tls"] == "off" and not values["trusted_proxies"]:
        host, _ = split_address("listen", values["listen"])
        if not is_loopback(host):
            faults.append(
                f"tls is off and listen is {values['listen']}: without TLS the API listens on loopback only, "
                "or behind a proxy that trusted_proxies declares."
            )
    if public_host in ("0.0.0.0", "::"):  # noqa: S104 - it is refused
        faults.append(f"listen is {values['listen']}: say with public_url by which address callers reach it.")
    who = "account" if values["account_rate_per_second"] else "key"
    rate, burst = values[f"{who}_rate_per_second"], values[f"{who}_burst"]
    needed = _NONCE_ROOM * (_NONCE_SECONDS * rate + burst)
    if rate and values["nonce_slots"] < needed:
        faults.append(
            f"nonce_slots is {values['nonce_slots']}, and one {who} at its limit could fill them: at least "
            f"{math.ceil(needed)} are needed for {who}_rate_per_second and {who}_burst."
        )
    days = values["validity_days"]
    if days > LONGEST_DAYS and days != PROVIDER_DAYS:
        faults.append(f"validity_days is {days}; it must be at most {LONGEST_DAYS}, or the provider's {PROVIDER_DAYS}.")


def _host_of(url: str) -> str | None:
    """The host of a URL that has no path; None where it is none of http or https."""
    try:
        parts = split_url(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") and not parts.path else None


def split_address(name: str, text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT or [IPV6]:PORT. Raises SettingsRefused; `name` is the setting's."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise SettingsRefused(f"{name} is {text!r}; it must be ADDRESS:PORT, as 127.0.0.1:8443 or [::1]:8443.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether this host is this machine alone."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # Python before 3.13 does not see the IPv4 address in ::ffff:127.0.0.1.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def check_table() -> None:
    """TypeError unless every setting of the table is a field of Settings, and of its type."""
    hints = get_type_hints(Settings)
    for setting in TABLE:
        if hints.get(setting.name) is not setting.type:
            raise TypeError(f"{setting.name}: the table says {setting.type}, Settings {hints.get(setting.name)}")
    if [field.name for field in fields(Settings)] != [setting.name for setting in TABLE]:
        raise TypeError("Settings has other fields than the table")
