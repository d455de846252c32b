"""Runs Python samples one after another: reads [{name, code, environment}] and writes {name: {ok, out}}."""

import contextlib
import io
import json
import os
import sys
import traceback

outcomes = {}
for sample in json.load(sys.stdin):
    os.environ.update(sample["environment"])
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(sample["code"], sample["name"], "exec"), {"__name__": "__main__"})
        outcomes[sample["name"]] = {"ok": True, "out": out.getvalue()}
    except Exception:
        outcomes[sample["name"]] = {"ok": False, "out": traceback.format_exc()}
print(json.dumps(outcomes))
