"""Entry of the worker process: `python .../worker REQUEST.json RESPONSE.json`.

The modules beside this file are loaded under a private package name, so that no `samples.py`
of a user's project can take their place.
"""

import gc
import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_PACKAGE = "_edgesmith_worker"


def _load_package() -> None:
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, _HERE / "__init__.py", submodule_search_locations=[str(_HERE)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load the worker from {_HERE}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    if sys.path and Path(sys.path[0]).resolve() == _HERE:
        del sys.path[0]
    _load_package()
    serve = importlib.import_module(f"{_PACKAGE}.serve")
    code = serve.main(sys.argv[1], sys.argv[2])
    # An exported program is millions of objects: the end would look for cycles among them.
    gc.freeze()
    sys.exit(code)
