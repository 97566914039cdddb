import os
import pkgutil
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from config import PROJECT_ROOT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in ("deploy", "transfer", "webapp"):
        shutil.copytree(
            PROJECT_ROOT / package,
            tmp_path / package,
            ignore=lambda folder, names: [
                name
                for name in names
                if not (name.endswith(".py") or Path(folder, name).is_dir())
                or name == "__pycache__"
            ],
        )
    for file in ("config.py", "pyproject.toml"):
        shutil.copy(PROJECT_ROOT / file, tmp_path)
    return tmp_path


def lint_imports(tree: Path) -> tuple[int, str]:
    done = subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=tree,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


def test_contracts_hold_for_an_unchanged_copy(tree: Path) -> None:
    status, report = lint_imports(tree)

    assert status == 0, report
    assert "BROKEN" not in report


LIBRARY = "transfer is a library"
WEB_WITHOUT_TORCH = "the web process never imports torch"
WORKER_ONLY = "only the command line imports the worker"
QUEUE = "only webapp.orders.queue and the worker know RQ"
WEBAPP_LAYERS = "webapp: each layer knows only those below it"
DEPLOY = "the start command only runs the site"
TRANSFER_LAYERS = "transfer: each layer knows only those below it"


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("transfer/imaging/images.py", "import flask", LIBRARY),
        ("transfer/settings.py", "from config import Config", LIBRARY),
        ("transfer/engine.py", "import webapp.models", LIBRARY),
        ("transfer/imaging/color.py", "from redis import Redis", LIBRARY),
        ("webapp/views/studio.py", "import torch", WEB_WITHOUT_TORCH),
        ("webapp/views/gallery.py", "import transfer.engine", WEB_WITHOUT_TORCH),
        # Through another module, and inside a function: a page would load torch all the same.
        ("webapp/views/media.py", "import transfer.imaging.images", WEB_WITHOUT_TORCH),
        (
            "webapp/orders/schedule.py",
            "def late() -> None:\n    import transfer.engine",
            WEB_WITHOUT_TORCH,
        ),
        ("webapp/views/studio.py", "from webapp.worker import jobs", WORKER_ONLY),
        ("webapp/orders/leases.py", "import webapp.worker.reaper", WORKER_ONLY),
        ("webapp/views/studio.py", "import rq", QUEUE),
        ("webapp/orders/schedule.py", "from rq.job import Job", QUEUE),
        ("webapp/views/health.py", "from webapp.worker import reaper", WEBAPP_LAYERS),
        ("webapp/worker/reaper.py", "from webapp.views.trash import bp", WEBAPP_LAYERS),
        ("webapp/orders/purge.py", "import webapp.views.gallery", WEBAPP_LAYERS),
        ("webapp/storage/files.py", "from webapp.auth import access", WEBAPP_LAYERS),
        ("deploy/start.py", "from webapp import create_app", DEPLOY),
        ("transfer/backbones/registry.py", "import transfer.features.tiling", TRANSFER_LAYERS),
        ("transfer/objective/losses.py", "import transfer.engine", TRANSFER_LAYERS),
    ],
)
def test_contract_refuses_an_import(tree: Path, module: str, statement: str, contract: str) -> None:
    with (tree / module).open("a") as source:
        source.write(f"\n{statement}\n")

    status, report = lint_imports(tree)

    assert status == 1, report
    broken = [text for text in report.splitlines() if " BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), report


def test_every_part_of_the_web_process_is_kept_from_torch() -> None:
    pyproject = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    contracts = {each["id"]: each for each in pyproject["tool"]["importlinter"]["contracts"]}

    parts = {module.name for module in pkgutil.iter_modules([str(PROJECT_ROOT / "webapp")])}

    listed = contracts["web-without-torch"]["source_modules"]
    assert sorted(listed) == sorted(f"webapp.{part}" for part in parts - {"cli", "worker"})


def run_python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# The contracts cannot see when `webapp.cli` imports the worker; this can.
def test_application_leaves_torch_alone(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from tests.servers import make_config
from webapp import create_app
app = create_app(make_config(Path(sys.argv[1])))
app.test_client().get("/login")
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "torchvision"}))
print("transfer.engine" in sys.modules, len(app.url_map._rules) > 5)
"""

    assert run_python(program, str(tmp_path)).splitlines() == ["[]", "False True"]


def test_transfer_imports_without_the_web() -> None:
    program = """
import importlib, pkgutil, sys
for name in ["flask", "jinja2", "redis", "rq", "sqlalchemy", "werkzeug", "webapp", "config"]:
    sys.modules[name] = None
import transfer
names = [module.name for module in pkgutil.walk_packages(transfer.__path__, "transfer.")]
for name in names:
    importlib.import_module(name)
print(*names)
"""

    assert "transfer.engine" in run_python(program)


def test_settings_and_errors_of_transfer_need_no_torch() -> None:
    program = """
import sys
sys.modules["torch"] = None
import transfer.errors, transfer.settings
print("fine")
"""

    assert run_python(program) == "fine\n"
