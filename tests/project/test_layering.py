"""Who may import what, asserted on the source and in fresh processes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"
EVERGREEN = sorted(path.stem for path in (FUNCTIONS / "evergreen").glob("[!_]*.py"))

TOUCH_AWS = {  # boto3, botocore or a client's calls
    "aws", "patience", "store", "seal", "records", "events", "serving",
}  # fmt: skip
READ_ENVIRONMENT = {"aws", "events", "serving", "runtime_external"}
READ_CLOCK = {  # to look again, and to give up
    "aws", "patience", "records", "serving", "runtime_external", "evaluation", "search",
}  # fmt: skip

HEAVY = {
    "sklearn", "pandas", "scipy", "skl2onnx", "joblib", "duckdb", "matplotlib", "onnx", "jinja2",
}  # fmt: skip
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


def imports(path: Path) -> set[str]:
    found = set()
    for node in run_time_nodes(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def names(path: Path) -> set[str]:
    """Return every dotted name that a module uses, such as os.environ or datetime.now."""
    return {
        ast.unparse(node)
        for node in run_time_nodes(tree(path))
        if isinstance(node, ast.Attribute | ast.Name)
    }


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize("module", EVERGREEN)
def test_the_machinery_never_imports_what_the_user_writes_or_a_handler(module: str) -> None:
    handlers = {path.stem for path in FUNCTIONS.glob("*.py")}

    assert not packages(FUNCTIONS / "evergreen" / f"{module}.py") & ({"endpoints"} | handlers)


@pytest.mark.parametrize("module", sorted(set(EVERGREEN) - TOUCH_AWS))
def test_a_pure_module_knows_nothing_of_aws(module: str) -> None:
    assert not packages(FUNCTIONS / "evergreen" / f"{module}.py") & {"boto3", "botocore"}


@pytest.mark.parametrize("module", sorted(set(EVERGREEN) - READ_ENVIRONMENT))
def test_a_pure_module_does_not_read_the_environment(module: str) -> None:
    path = FUNCTIONS / "evergreen" / f"{module}.py"

    assert not {"os.environ", "os.getenv", "environ", "getenv"} & names(path)


@pytest.mark.parametrize("module", sorted(set(EVERGREEN) - READ_CLOCK))
def test_a_pure_module_does_not_read_the_clock(module: str) -> None:
    assert not CLOCKS & names(FUNCTIONS / "evergreen" / f"{module}.py")


def test_the_lists_of_this_test_name_modules_that_exist_and_need_to_be_named() -> None:
    for module in TOUCH_AWS | READ_ENVIRONMENT | READ_CLOCK:
        assert module in EVERGREEN
    for module in READ_ENVIRONMENT:
        assert "os.environ" in names(FUNCTIONS / "evergreen" / f"{module}.py")
    for module in READ_CLOCK:
        assert CLOCKS & names(FUNCTIONS / "evergreen" / f"{module}.py")


@pytest.mark.parametrize(
    ("loader", "module"),
    [("onnxruntime.InferenceSession", "runtime_onnx"), ("joblib.load", "runtime_sklearn")],
)
def test_one_module_for_each_runtime_makes_models_out_of_bytes(loader: str, module: str) -> None:
    found = [path.stem for path in FUNCTIONS.rglob("*.py") if loader in names(path)]

    assert found == [module]


@pytest.mark.parametrize("path", sorted(FUNCTIONS.rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_else_unpickles(path: Path) -> None:
    used = names(path)

    assert not packages(path) & {"pickle", "cloudpickle", "dill", "shelve", "marshal"}
    assert not {"np.load", "numpy.load", "pd.read_pickle", "eval", "exec"} & used
    assert "joblib.load" not in imports(path)


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


@pytest.mark.parametrize("handler", ["train", "check", "control"])
def test_importing_a_handler_needs_no_region_credentials_or_variables(handler: str) -> None:
    assert "evergreen" in modules_after(f"import {handler}")
