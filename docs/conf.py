"""Configuration of Sphinx."""

from importlib.metadata import version as version_of

project = "castore"
author = "castore contributors"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = version_of("castore-core")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# `type` in a signature is the builtin, but several classes have an attribute of that name.
suppress_warnings = ["ref.python"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"castore {version}"

myst_heading_anchors = 3

napoleon_use_ivar = True  # autodoc has the fields of a named tuple already

autodoc_default_options = {
    "members": True,
    "inherited-members": "Exception,Protocol,NamedTuple,Event",
    "show-inheritance": True,
}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
