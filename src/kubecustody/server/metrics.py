"""What the server counts, for Prometheus. No label holds a name, an id or a secret of anybody.

With several workers each writes its counts to files of a shared folder (prometheus_client's multiprocess mode).
"""

from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """The counts of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "kubecustody_requests",
            "Requests answered, by operation (empty: none was found) and error code (empty: success).",
            ["operation", "code"],
            registry=registry,
        )
        self._durations = Histogram(
            "kubecustody_request_duration_seconds",
            "Time from the end of a request's headers to its answer, in seconds, by operation.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._signature_failures = Counter(
            "kubecustody_signature_failures",
            "Requests whose signature did not hold, by error code.",
            ["code"],
            registry=registry,
        )
        self._denials = Counter(
            "kubecustody_denials", "Calls that no policy allowed, by operation.", ["operation"], registry=registry
        )
        self._legacy = Counter(
            "kubecustody_legacy_signatures",
            "Calls that were signed in the older way (ROA HMAC-SHA1), by operation. The access log says by which keys.",
            ["operation"],
            registry=registry,
        )
        self._observers: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def count_request(self, operation: str, code: str, seconds: float) -> None:
        """Count one answered request."""
        observer = self._observers.get((operation, code))
        if observer is None:
            observer = self._requests.labels(operation, code), self._durations.labels(operation)
            self._observers[operation, code] = observer
        observer[0].inc()
        observer[1].observe(seconds)

    def count_signature_failure(self, code: str) -> None:
        """Count one signature that did not hold."""
        self._signature_failures.labels(code).inc()

    def count_denial(self, operation: str) -> None:
        """Count one call that no policy allowed."""
        self._denials.labels(operation).inc()

    def count_legacy_signature(self, operation: str) -> None:
        """Count one call that was signed in the older way."""
        self._legacy.labels(operation).inc()
