"""The shop behind FastAPI."""

BIKE = {"name": "Bike", "price": 40_000, "stock": 50}
