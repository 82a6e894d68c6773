"""The documentation as a site: `make docs` builds it from the files that the code host shows, each at its own place."""

import os
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx

from stageline import __version__

REPOSITORY = Path(__file__).resolve().parent.parent
# Where the code host shows a file, as https://git.example/team/stageline/blob/main: links to what is no page go there.
# Without it the site has a copy of each file that a page links to, and a folder is named without a link.
CODE_HOST = os.environ.get("DOCS_REPOSITORY_URL", "").rstrip("/")
CONTENTS = {  # which pages follow which: the code host lists files by itself, the site does not
    "README": (REPOSITORY / "docs" / "contents.txt").read_text(),
    "docs/decisions/README": "```{toctree}\n:glob:\n0*\n```\n",
}

project = "Stageline"
version = release = __version__

root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "tests/chaos/README.md"]
exclude_patterns = [".*", "build", "samples", "stageline-data", "*.egg-info"]
extensions = ["myst_parser"]
myst_heading_anchors = 4  # by the names that the code host gives them
myst_enable_extensions = ["html_image"]
nitpicky = True

html_theme = "furo"
html_title = f"Stageline {version}"
html_extra_path = ["site"]  # index.html, which leads to the README
html_copy_source = False
html_show_copyright = False


def add_contents(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Put its table of contents behind a page."""
    source[0] += "\n" + CONTENTS.get(docname, "")


def resolve_what_is_no_page(app: Sphinx, doctree: nodes.document) -> None:
    """Resolve links to files and folders of the repository that are no pages; others stay, and are warned of."""
    here = Path(str(doctree["source"])).parent
    for link in list(doctree.findall(pending_xref)):
        folder = (here / str(link["reftarget"])).resolve()
        if link["reftype"] != "myst" or not (folder.is_dir() and folder.is_relative_to(REPOSITORY)):
            continue
        readme = (folder / "README.md").relative_to(REPOSITORY).with_suffix("").as_posix()
        if readme in app.env.found_docs:
            link["refdomain"], link["reftype"], link["reftarget"] = "std", "doc", f"/{readme}"
        else:
            link.replace_self(_to_code_host(folder, link.children))
    for link in list(doctree.findall(download_reference)) if CODE_HOST else ():
        link.replace_self(_to_code_host((here / str(link["reftarget"])).resolve(), link.children))


def _to_code_host(path: Path, shown: list[nodes.Node]) -> nodes.Element:
    if not CODE_HOST:
        return nodes.inline("", "", *shown)
    address = f"{CODE_HOST}/{path.relative_to(REPOSITORY).as_posix()}"
    return nodes.reference("", "", *shown, refuri=address, internal=False)


def setup(app: Sphinx) -> None:
    """Take part in the building."""
    app.connect("source-read", add_contents)
    app.connect("doctree-read", resolve_what_is_no_page)
