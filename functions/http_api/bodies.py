"""What people may send to control, and its decoder; predict and feedback have their own."""

from typing import Annotated, get_type_hints

import msgspec

from evergreen.contract.decoding import UNDECODABLE, faults_of_object, refusal
from evergreen.registry.experiments import Plan, Text

Generation = Annotated[int, msgspec.Meta(ge=1, le=2**53)]  # a number that every reader of JSON has


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of pause and resume; generation: of the document that was decided on."""

    generation: Generation
    reason: Text


class VersionAsked(Asked, frozen=True, kw_only=True):
    """The body of approve, reject and promote."""

    version: Text


class RollbackAsked(Asked, frozen=True, kw_only=True):
    """The body of rollback; without a version it goes to the previous champion."""

    version: Text | None = None


class ExperimentAsked(Plan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body that starts an experiment; reason: the hypothesis where none is named."""

    generation: Generation
    reason: Text | None = None


class RetrainAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of retrain, which has nothing to say."""


def decoded[Body: msgspec.Struct](body: bytes, kind: type[Body]) -> Body:
    """Return what a body asks for; raises InvalidRequestError with every fault in it."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNDECODABLE as error:
        types = get_type_hints(kind, include_extras=True)
        required = [field.name for field in msgspec.structs.fields(kind) if field.required]
        raise refusal(
            body, error, lambda value: faults_of_object("$", value, types, required)
        ) from None
