"""The tables as the one-transaction-an-event consumer maps them; what it leaves out costs it nothing."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Ids are the sender's, money is NUMERIC(18,2)."""

    type_annotation_map = {  # noqa: RUF012 - as SQLAlchemy declares it
        int: BigInteger,
        Decimal: Numeric(18, 2),
        datetime: DateTime(timezone=True),
    }


class Invoice(Base):
    """The highest version of one invoice."""

    __tablename__ = "invoices"

    invoice_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    event_id: Mapped[str]
    meter_id: Mapped[int | None]
    customer_id: Mapped[int | None]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    invoice_date: Mapped[date]
    voided: Mapped[bool]


class Payment(Base):
    """The highest version of one payment."""

    __tablename__ = "payments"

    payment_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    event_id: Mapped[str]
    meter_id: Mapped[int | None]
    customer_id: Mapped[int | None]
    invoice_id: Mapped[int | None]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    paid_at: Mapped[datetime]
    reversed: Mapped[bool]


class Assignment(Base):
    """The highest version of one assignment."""

    __tablename__ = "meter_assignments"

    assignment_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    event_id: Mapped[str]
    meter_id: Mapped[int]
    customer_id: Mapped[int]
    assigned_at: Mapped[datetime]
    unassigned_at: Mapped[datetime | None]
    active: Mapped[bool]


class Customer(Base):
    """The highest version of one customer."""

    __tablename__ = "customers"

    customer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    event_id: Mapped[str]
    name: Mapped[str]


class MeterBalance(Base):
    """A meter's totals."""

    __tablename__ = "meter_balances"

    meter_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    customer_id: Mapped[int | None]
    total_billed: Mapped[Decimal]
    total_paid: Mapped[Decimal]
    invoice_count: Mapped[int]
    payment_count: Mapped[int]


class CustomerBalance(Base):
    """A customer's totals."""

    __tablename__ = "customer_balances"

    customer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    balance: Mapped[Decimal]
    overpayment: Mapped[Decimal]
    total_billed: Mapped[Decimal]
    total_paid: Mapped[Decimal]
    active_meters: Mapped[int]
