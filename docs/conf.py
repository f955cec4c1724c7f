"""How Sphinx makes the documentation: `make site`, which needs no network."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "docs" / "_ext")]

from gradspec import __version__  # noqa: E402

project = "gradspec"
author = "the gradspec authors"
copyright = author
version = release = __version__

extensions = [
    "mathml",
    "messages",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # a page that is included begins where its README does

smartquotes = False  # messages and code are to be found as they are
default_role = "py:obj"  # names in docstrings
python_maximum_signature_line_length = 100

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"gradspec {__version__}"
html_sidebars = {"tutorial": [], "developer": []}  # which have no pages below them
html_static_path = ["_static"]
html_css_files = ["gradspec.css"]
html_show_sourcelink = False
html_theme_options = {
    "github_url": "https://github.com/gradspec/gradspec",
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}

# Signatures say the shapes; the sections of the docstrings say the rest.
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
