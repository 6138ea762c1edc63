"""Options that a check, a rebuild and the recalculating steps have in common."""

from typing import Annotated

import typer

ResumeOption = Annotated[str | None, typer.Option(metavar="RUN", help="go on with a run that did not finish")]
SignificantOption = Annotated[
    str, typer.Option(metavar="AMOUNT", help="list customers whose balance or overpayment is off by more than this")
]
