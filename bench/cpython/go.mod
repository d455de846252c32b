// CPython as most have it in production: python-build-standalone, which `uv python install` and others take, with
// profile-guided and link-time optimisation. This module carries it unchanged, for programs that embed it.
module kubecustody.bench/cpython

go 1.26.0

require github.com/kluctl/go-embed-python v0.0.0-3.14.6-20260610-1
