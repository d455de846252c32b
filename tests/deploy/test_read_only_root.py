"""The server with nothing to write to but its volumes and /tmp, and without any capability, as the image runs it."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from installations import free_port

pytestmark = pytest.mark.deploy

# The caller's own user, as root of a user namespace: nothing but mounts can be made there.
INSIDE = ("unshare", "--user", "--map-root-user", "--mount", "bash", "-euc")
LOCKED = "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all"

SCRIPT = """
mount -t tmpfs tmpfs {place}
mkdir -m 0700 {place}/data {place}/keys {place}/tmp
mount -o remount,ro,bind /
! touch /written 2>/dev/null || echo "the root can be written to"
export HOME={place}/tmp TMPDIR={place}/tmp PYTHONDONTWRITEBYTECODE=1
export KUBECUSTODY_DATA_DIR={place}/data/data KUBECUSTODY_KEY_RING_FILE={place}/keys/key-ring
export KUBECUSTODY_LISTEN=127.0.0.1:{port} KUBECUSTODY_METRICS_LISTEN=127.0.0.1:{metrics}
{locked} {program} init --out {place}/data/account.key >/dev/null
{locked} {program} serve --workers 2 >{place}/tmp/log 2>&1 &
server=$!
for _ in $(seq 150); do
    {program} call DescribeClustersV1 --key-file {place}/data/account.key --ca {place}/data/data/tls/root.pem \
        >{place}/tmp/answer 2>&1 && break
    sleep 0.2
done
cat {place}/tmp/answer
kill $server
wait $server && echo stopped
grep -c Traceback {place}/tmp/log || true
"""


def test_the_server_needs_no_root_that_can_be_written_to_and_no_capability(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run([*INSIDE, "mount -o remount,ro,bind /"]).returncode != 0:
        pytest.skip("this kernel lets nobody make mounts of their own")
    script = SCRIPT.format(
        place=shlex.quote(str(tmp_path)),
        port=free_port(),
        metrics=free_port(),
        locked=LOCKED,
        program=f"{shlex.quote(sys.executable)} -m kubecustody.cli.main",
    )
    done = subprocess.run([*INSIDE, script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('{\n  "clusters": []') and done.stdout.endswith("stopped\n0\n")
    assert "can be written to" not in done.stdout
