"""`docs/reference/settings.md`: every environment variable, from the fields of `Settings`."""

from typing import Final, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from events.runtime.settings import Settings, variable
from tests.docs.reference.markdown import NOTE, code, sentence, table

INTRODUCTION: Final = f"""{NOTE}

# Settings

All three programs read environment variables whose names begin with `PROJECTOR_`, and a file `.env` in the folder in
which they are started ([an example](../../.env.example)); a variable of the environment takes precedence. A name that
begins so and that no program reads is refused, because a typing error would otherwise be ignored.

A `.env` is read only where it belongs to the user or to root and nobody else may write it.
[Connect over TLS](../how-to/tls.md) says which settings it may not hold.

`projector init` stores the currency, the time zone, the topic prefix and the Kafka cluster in the database. A program
with other settings than these is refused: [change a deployment's identity](../how-to/deployment-identity.md).

"""
KAFKA: Final = (
    "`PROJECTOR_KAFKA__*`",
    "",
    "",
    "librdkafka properties; `PROJECTOR_KAFKA__SASL_USERNAME` sets `sasl.username`: [not all](../how-to/kafka.md)",
)


def page() -> str:
    """Return the page."""
    rows = [
        (code(field.alias or variable(name)), code(_default(field.default)), _accepts(field), sentence(_meaning(field)))
        for name, field in Settings.model_fields.items()
        if name != "kafka"
    ]
    return INTRODUCTION + table(("variable", "default", "accepts", "meaning"), [*rows, KAFKA])


def _default(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _meaning(field: FieldInfo) -> str:
    assert field.description, f"{field} has no description"
    return field.description


def _accepts(field: FieldInfo) -> str:
    """Say what a value has to be, from the field's constraints."""
    if literals := [each for each in get_args(field.annotation) if isinstance(each, str)]:
        return ", ".join(map(code, literals))
    bounds = {
        sign: value
        for name, sign in (("ge", "from"), ("gt", "above"), ("le", "to"))
        for each in field.metadata
        if (value := getattr(each, name, None)) is not None
    }
    kind = "a whole number" if field.annotation is int else "a number" if field.annotation is float else ""
    patterns = [code(each.pattern) for each in field.metadata if getattr(each, "pattern", None)]
    numbers = " ".join([kind, *(f"{sign} {value}" for sign, value in bounds.items())]).strip()
    return ", ".join([*patterns, *([numbers] if numbers else [])])
