"""What `st` does not know of the server: its module, its revisions, and what a WebAssembly module is."""

import os
import pathlib

import schemathesis
from hypothesis import strategies as st

GUEST = pathlib.Path(os.environ["ANTIPHON_GUEST"]).read_bytes()

# A guest, a part of one, one with a byte changed, and bytes of any kind.
cut = st.integers(0, len(GUEST)).map(lambda end: GUEST[:end])
changed = st.tuples(st.integers(0, len(GUEST) - 1), st.integers(0, 255)).map(
    lambda change: GUEST[: change[0]] + bytes([change[1]]) + GUEST[change[0] + 1 :]
)
module = st.one_of(st.just(GUEST), cut, changed, st.binary(max_size=256))
schemathesis.openapi.media_type("application/wasm", module)


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Names the module that is there, in most requests."""
    name = (path_parameters or {}).get("module")
    if isinstance(name, str) and len(name) % 4:
        path_parameters["module"] = "rust"
    return path_parameters


@schemathesis.hook
def map_headers(context, headers):
    """Names a revision that may be the current one, in most writes."""
    tag = (headers or {}).get("If-Match")
    if isinstance(tag, str) and len(tag) % 4:
        headers["If-Match"] = f'"{len(tag) + ord(tag[0]) % 64}"'
    return headers
