"""The pytest plugin of castore-test-tools, loaded by its `pytest11` entry point."""

# Empty, and still of use: pytest rewrites the asserts of every module of a distribution that has
# such an entry point, so that a failed contract test shows its values.
