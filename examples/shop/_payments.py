"""The table ``payments``: rows of the shop's own, which are written together with events."""

from sqlalchemy import Column, String, Table

from shop._read_models import tables

payments = Table(
    "payments",
    tables,
    Column("payment_id", String(100), primary_key=True),
    Column("order_id", String(100), nullable=False),
)
