"""Points in time as people read them: in the deployment's time zone, which is named. Pure."""

from datetime import datetime, tzinfo


def written(moment: datetime, zone: tzinfo) -> str:
    """Write a point in time to the second: `2026-01-31 08:00:00 EAT`."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def rewritten(text: str, zone: tzinfo) -> str:
    """Write a timestamp of PostgreSQL to its last digit; what Python's calendar does not have stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return text
        local = moment.astimezone(zone)
    except (ValueError, OverflowError):
        return text
    return f"{local.replace(tzinfo=None).isoformat(' ')} {local:%Z}"
