"""What import-linter does not see: the source's use of AWS, environment, clock and pickles."""

import ast
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FUNCTIONS = Path(__file__).parents[2] / "functions"
EVERGREEN = FUNCTIONS / "evergreen"
HANDLERS = {path.stem for path in FUNCTIONS.glob("*.py")}

TOUCH_AWS = {"aws/deadline", "aws/s3", "aws/signing", "serving/model_cache"}
READ_ENVIRONMENT = {
    "aws/place", "registry/events", "serving/model_cache", "serving/recalibrations",
    "serving/runtime_external",
}  # fmt: skip
READ_CLOCK = {  # to look again, to give up, and to name a run
    "aws/deadline", "captures/records", "serving/model_cache",
    "serving/recalibrations", "serving/runtime_external", "training/evaluation",
    "training/isolation", "training/run", "training/search",
}  # fmt: skip

HEAVY = {
    "sklearn", "pandas", "scipy", "skl2onnx", "joblib", "duckdb", "onnx", "jinja2",
}  # fmt: skip
ELSEWHERE = {"matplotlib", "moto", "boto3", "samcli"}  # installed on one's own machine only
CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "time.time", "time.time_ns", "time.monotonic", "time.perf_counter", "time.sleep",
}  # fmt: skip


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def run_time_nodes(module: ast.Module) -> list[ast.AST]:
    """Return all nodes outside `if TYPE_CHECKING:`, whose imports never happen."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        found.append(node)
        waiting.extend(ast.iter_child_nodes(node))
    return found


@cache
def imports(path: Path) -> set[str]:
    found = set()
    for node in run_time_nodes(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


@cache
def names(path: Path) -> set[str]:
    """Return every dotted name that a module uses, such as os.environ or datetime.now."""
    return {
        ast.unparse(node)
        for node in run_time_nodes(tree(path))
        if isinstance(node, ast.Attribute | ast.Name)
    }


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


AWS = {"boto3", "botocore"}
ENVIRONMENT = {"os.environ", "os.getenv", "environ", "getenv"}
UNPICKLE = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}
EVALUATE = {"np.load", "numpy.load", "pd.read_pickle", "eval", "exec"}


def modules(uses: Callable[[Path], object]) -> set[str]:
    """Return the modules of the machinery that do something, as wing/module."""
    paths = EVERGREEN.rglob("*.py")
    return {f"{path.relative_to(EVERGREEN).with_suffix('')}" for path in paths if uses(path)}


def test_the_machinery_never_imports_what_the_user_writes_or_a_handler() -> None:
    assert modules(lambda _: True)
    assert modules(lambda path: packages(path) & ({"endpoints"} | HANDLERS)) == set()


def test_a_pure_module_knows_nothing_of_aws() -> None:
    assert modules(lambda path: packages(path) & AWS) == TOUCH_AWS


def test_a_pure_module_does_not_read_the_environment() -> None:
    assert modules(lambda path: names(path) & ENVIRONMENT) == READ_ENVIRONMENT


def test_a_pure_module_does_not_read_the_clock() -> None:
    assert modules(lambda path: names(path) & CLOCKS) == READ_CLOCK


def loaders(name: str) -> list[str]:
    return [path.stem for path in FUNCTIONS.rglob("*.py") if name in names(path)]


def test_one_module_for_each_runtime_makes_models_out_of_bytes() -> None:
    assert loaders("onnxruntime.InferenceSession") == ["runtime_onnx"]
    assert loaders("joblib.load") == ["runtime_sklearn"]


def test_nothing_else_unpickles() -> None:
    found = [
        path.stem
        for path in FUNCTIONS.rglob("*.py")
        if packages(path) & UNPICKLE or names(path) & EVALUATE or "joblib.load" in imports(path)
    ]

    assert found == []


def modules_after(statement: str) -> set[str]:
    """Return the top-level packages in a fresh process after a statement."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FUNCTIONS,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", "POWERTOOLS_SERVICE_NAME": "test"},
    )
    return set(found.stdout.split())


@pytest.mark.parametrize("handler", ["predict", "feedback"])
def test_the_hot_path_never_loads_a_heavy_package(handler: str) -> None:
    loaded = modules_after(f"import {handler}")

    assert "evergreen" in loaded
    assert not loaded & HEAVY
    assert "endpoints" not in loaded


def test_the_page_of_a_check_is_made_without_a_heavy_package() -> None:
    loaded = modules_after("from evergreen.pages import check_report")

    assert loaded & HEAVY == {"jinja2"}


def test_importing_a_handler_needs_no_region_credentials_or_variables() -> None:
    loaded = modules_after("import train, check, control, rollout, show, predict, feedback")

    assert "evergreen" in loaded
    assert not loaded & ELSEWHERE
