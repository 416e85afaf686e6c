"""Display: values as JSON that people look at, for command lines and pages.

    from castore_core.display import to_json_state

What is shown is not read again: values that JSON lacks become texts.
"""

from castore_core._display import to_json, to_json_state

__all__ = ["to_json", "to_json_state"]
