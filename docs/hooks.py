"""What mkdocs does beside its own: files from elsewhere in the repository, references, formulas.

- Pages that lie beside the code (benchmarks/, CONTRIBUTING.md, ...) are pages of the site, at the
  same relative places, so that links hold in both.
- reference/settings.md and reference/commands.md are made from the settings' models and from click.
- Each script of examples/ is a page, with its notebook to download.
- Formulas become MathML when the site is built: readers load no script for them.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import jupytext
import reference
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
BESIDE = ("benchmarks/*.md", "benchmarks/**/*.png", "benchmarks/**/*.jpg", "heatkp/weights/*.md",
          "CONTRIBUTING.md", "CHANGELOG.md", "examples/plugin/README.md")  # fmt: skip
"""Files outside docs/ that the site has, by patterns."""
MADE = {
    "reference/settings.md": reference.settings_page,
    "reference/commands.md": reference.commands_page,
}
"""Pages that no file holds, and what makes them."""
_LINK = re.compile(r"(?<!\\)(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\(?:\(|\[)(.*?)\\(?:\)|\])</\1>', re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Adds what docs/ does not hold."""
    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    made = {place: make() for place, make in MADE.items()}
    for path in sorted((ROOT / "examples").glob("*.py")):
        made |= example(path)
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files


def example(path: Path) -> dict[str, str]:
    """Page and notebook of a script whose cells begin with `# %%`."""
    notebook = jupytext.read(path, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id = str(number)  # jupytext's are random
    first, *cells = (
        f"```python\n{cell.source}\n```" if cell.cell_type == "code" else cell.source
        for cell in notebook.cells
    )
    link = f"[As a notebook]({path.stem}.ipynb)"
    return {
        f"examples/{path.stem}.ipynb": jupytext.writes(notebook, fmt="ipynb"),
        f"examples/{path.stem}.md": "\n\n".join([first, link, *cells]),
    }


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links that leave docs/ lead to the same file on the site, or, where it has none, to the
    repository, if mkdocs.yml names it; else only their words stay."""
    place = page.file.src_uri
    # Where the page lies in the repository: those of docs/ are one folder deeper than on the site.
    beside = any(Path(place).match(pattern) for pattern in BESIDE)
    folder = posixpath.dirname(place if beside else f"docs/{place}")

    def mended(found: re.Match[str]) -> str:
        mark, words, target = found.groups()
        path, hash_, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return found[0]
        full = posixpath.normpath(posixpath.join(folder, path))
        uri = re.sub(r"^(examples/\w+)\.py$", r"\1.md", full.removeprefix("docs/"))
        if files.get_file_from_path(uri) is not None:
            here = posixpath.relpath(uri, posixpath.dirname(place) or ".")
            return f"{mark}[{words}]({here}{hash_}{anchor})"
        if not (ROOT / full).exists() or full.startswith("docs/"):
            return found[0]  # mkdocs complains of it
        if config.repo_url:
            return f"[{words}]({config.repo_url.rstrip('/')}/blob/main/{full}{hash_}{anchor})"
        return words

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(p if p.startswith("```") else _LINK.sub(mended, p) for p in parts)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Formulas as MathML."""

    def drawn(found: re.Match[str]) -> str:
        text = found[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return str(convert(text, display="block" if found[1] == "div" else "inline"))

    return _FORMULA.sub(drawn, html)
