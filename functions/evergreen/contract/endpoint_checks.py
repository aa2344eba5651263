"""Every way in which an endpoint breaks its contract, as far as that shows before a fit.

What costs least is looked at first. What a candidate can do is asked of it once it is fitted.
"""

import traceback
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from evergreen.contract import project_root
from evergreen.contract.endpoint import Endpoint, Policy
from evergreen.contract.errors import EndpointFileError, Fault
from evergreen.contract.files import Files
from evergreen.contract.problem import KINDS
from evergreen.contract.rule import Rule
from evergreen.contract.schema import JsonSchema, schema_of


def check_endpoint(name: str, endpoint: object) -> None:
    """Raise EndpointFileError with every way in which an endpoint breaks the contract."""
    if not isinstance(endpoint, Endpoint):
        missing = "define `endpoint = Endpoint(...)` at the top level"
        raise EndpointFileError(name, Fault("", missing))
    found: list[Fault] = []
    try:
        found.extend(faults(endpoint))  # those before an error count
    except Exception as error:  # an argument of a type that nobody thought of
        found.append(raised(error))
    if found:
        raise EndpointFileError(name, *found)


def faults(endpoint: Endpoint) -> Iterator[Fault]:
    """Yield what is wrong. A path is an argument, or like `policy.alpha` and `row.hour`."""
    if not endpoint.target:
        yield Fault("target", "`target` must say what is predicted")
    if endpoint.problem not in KINDS:
        yield Fault("problem", f"problem {endpoint.problem!r} is none of {tuple(KINDS)}")
    if isinstance(endpoint.policy, Policy):
        yield from faults_of_policy(endpoint.policy)
    else:
        yield Fault("policy", "`policy` must be a Policy (from evergreen import Policy)")
    if not isinstance(endpoint.files, Files):
        yield Fault("files", "`files` must be a Files (from evergreen import Files)")
    schema: JsonSchema | None = None
    try:
        schema = schema_of("", endpoint.row)
    except EndpointFileError as error:
        yield from error.faults
    else:
        yield from _of_row(endpoint, schema)
        yield from _of_rule("rule", "rule", endpoint.rule, schema)
    if not callable(endpoint.examples):
        yield Fault("examples", "`examples` must be a function from a table to a table")
    if not callable(endpoint.candidates):
        shared = "`candidates` must be a function of a seed, or what it makes is shared"
        yield Fault("candidates", shared)
        return
    try:
        candidates = endpoint.candidates(0)
    except Exception as error:  # it is the user's code, and may raise whatever it likes
        yield raised(error, "`candidates` raised ")
        return
    if not (isinstance(candidates, Mapping) and candidates):
        yield Fault("candidates", "`candidates` returned no pipeline by its name")
        return
    for name, pipeline in candidates.items():
        yield from _of_candidate(f"candidate {name!r}", pipeline, endpoint.problem, schema)
    yield from _of_search(endpoint.search, candidates)


def raised(error: BaseException, what: str = "") -> Fault:
    """Return an error of the user's own code as a fault, at the line where it was raised."""
    folder = project_root() / "endpoints"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [each.lineno for each in frames if Path(each.filename).parent == folder]
    return Fault(str(lines[-1]) if lines else "", f"{what}{type(error).__name__}: {error}")


def faults_of_policy(policy: Policy) -> Iterator[Fault]:
    """Yield what is wrong with a policy, value by value, or with how they go together."""
    faulty = False
    for name, kind in get_type_hints(Policy, include_extras=True).items():
        value = getattr(policy, name)
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            faulty = True
            known = f", it may be {get_args(kind)}" if get_origin(kind) is Literal else ""
            said = f"policy.{name} is {value!r}: {str(error).lower()}{known}"
            yield Fault(f"policy.{name}", said)
    if faulty:
        return
    if any(low >= high for low, high in pairwise(policy.canary)):
        yield Fault("policy.canary", "policy.canary needs shares that rise")
    if policy.max_shadow_days < policy.shadow_days:
        less = "policy.max_shadow_days is less than policy.shadow_days"
        yield Fault("policy.max_shadow_days", less)
    if policy.promotion == "expected regret" and not policy.margin:
        yield Fault("policy.margin", "policy.margin is the scale of `expected regret`: not 0")


def _of_row(endpoint: Endpoint, schema: JsonSchema) -> Iterator[Fault]:
    """Yield what is wrong with the fields, and with the arguments that name some."""
    if not endpoint.row.__struct_config__.forbid_unknown_fields:
        yield Fault("row", "`row` needs forbid_unknown_fields=True, or typos pass unseen")
    fields = schema["properties"]
    for name, spec in fields.items():
        if not any(part.get("description") for part in (spec, *spec.get("anyOf", ()))):
            yield Fault(f"row.{name}", f"field `{name}` has no description")
        if name in ("label", "time"):
            yield Fault(f"row.{name}", f"field `{name}` has a name that `examples` needs")
    for what in ("slices", "fairness", "sensitive"):
        named = getattr(endpoint, what)
        if isinstance(named, str):
            right = f'{{"{named}": "why"}}' if what == "sensitive" else f'("{named}",)'
            yield Fault(what, f"{what} is a text: write {right}")
            continue
        for each in named:
            if each not in fields:
                known = ", ".join(fields)
                yield Fault(what, f"{what}: {each!r} is not a field of `row`, which has {known}")
            elif what != "sensitive" and each in endpoint.sensitive:
                shown = f"{what}: {each!r} is sensitive, and pages show the values of {what}"
                yield Fault(what, f"{shown}: take it out of one of them")
    if not isinstance(endpoint.sensitive, Mapping):
        yield Fault("sensitive", '`sensitive` needs a reason for each field: {"field": "why"}')
        return
    for each, reason in endpoint.sensitive.items():
        if not (isinstance(reason, str) and reason.strip()):
            yield Fault("sensitive", f"sensitive: {each!r} needs a reason, a text")
        spec = fields.get(each, {})
        parts = [spec, *spec.get("anyOf", ())]
        if any(part.get(shown) for part in parts for shown in ("examples", "default", "enum")):
            said = "its examples, default and choices would be shown: leave them out"
            yield Fault(f"row.{each}", f"field `{each}` is sensitive: {said}")


def _of_rule(path: str, where: str, rule: object, schema: JsonSchema) -> Iterator[Fault]:
    if rule is None:
        return
    if not isinstance(rule, Rule):
        yield Fault(path, f"{where} must be a Rule (from evergreen import Rule)")
        return
    try:
        rule.check(schema)
    except ValueError as error:
        yield Fault(path, f"{where}: {error}")


def _of_candidate(
    where: str, pipeline: Any, problem: str, schema: JsonSchema | None
) -> Iterator[Fault]:
    """Yield what shows of a candidate that is not fitted."""
    if getattr(pipeline, "kind", "model") != "model":
        if schema:
            yield from _of_rule("candidates", where, getattr(pipeline, "rule", pipeline), schema)
        return
    wanted = "regressor" if problem == "regression" else "classifier"
    if not hasattr(pipeline, "fit") or isinstance(pipeline, type):
        yield Fault("candidates", f"{where} must be an estimator with fit, a {wanted}")
        return
    try:
        found = pipeline.__sklearn_tags__().estimator_type
    except Exception:  # of another library, or its own: then its fit will tell
        return
    if found not in (wanted, None):
        yield Fault("candidates", f"{where} is a {found}, and {problem} asks for a {wanted}")


def _of_search(search: Mapping[str, Any], candidates: Mapping[str, Any]) -> Iterator[Fault]:
    for candidate, space in search.items():
        if candidate not in candidates:
            known = ", ".join(candidates)
            yield Fault("search", f"search: {candidate!r} is no candidate, only {known}")
            continue
        parameters: Mapping[str, Any] = getattr(candidates[candidate], "get_params", dict)()
        for parameter, values in space.items():
            if parameter not in parameters:
                said = f"{candidate!r} has no parameter {parameter!r} in get_params()"
                yield Fault("search", f"search: {said}")
            if isinstance(values, str) or not len(values):
                yield Fault("search", f"search: {parameter!r} needs a list of values")
