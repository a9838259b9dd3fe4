"""The code among dvc.yaml's `deps`: a change to a file of code marks the stages that import it, and no others.

    python -m tools.dependencies            write the lists
    python -m tools.dependencies --check    name those that differ, and end with 1 if any does

A stage needs its script stages/NAME.py and whatever that imports, directly or not. Nothing is run: the imports are read
from the source, those inside functions too; those under `if TYPE_CHECKING:` don't count. A module that names a file or
a folder beside it in a string, such as "templates", needs that as well. Where a folder is needed as a whole, it stands
for its files.

Imports inside `__getattr__` of flaxtext/__init__.py don't count: they are for users of the library, and a stage imports
from the module itself. `hidden_imports` finds those that don't.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = "stages"
PACKAGE = "flaxtext"
TOP = f"{PACKAGE}/__init__.py"
NOT_READ = ("py.typed",)
"""Names of files in the package that no module reads."""
LEFT_BEHIND = re.compile(r"\.|__pycache__$|.*(\.swp|~)$")
"""Names of what Python, editors and desktops leave in a folder, as in .dvcignore."""


class Code:
    """The code of a checkout: which file needs which. A path is a string, relative to `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, frozenset[str]] = {}

    def deps(self, stage: str) -> list[str]:
        """Return the code that belongs in a stage's `deps`: its script, other files of stages/, those of the package.

        Raises FileNotFoundError where the stage has no script, and SyntaxError as `directly` does.
        """
        script = f"{SCRIPTS}/{stage}.py"
        paths = self.collapsed(self.needed(script))
        return sorted(paths, key=lambda path: (path != script, not path.startswith(f"{SCRIPTS}/"), path))

    def needed(self, path: str) -> frozenset[str]:
        """Return the files that a module needs, directly or not, and itself."""
        found: set[str] = set()
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting += self.directly(current) if current.endswith(".py") else ()
        return frozenset(found)

    def directly(self, path: str) -> frozenset[str]:
        """Return the modules that a module's own imports run, and the data beside it that it names.

        Raises SyntaxError where the module can't be parsed, and for `import *`, which hides what it imports.
        """
        if path not in self._known:
            self._known[path] = frozenset(self._read(path) - {path})
        return self._known[path]

    def _read(self, path: str) -> set[str]:
        found: set[str] = set()
        for node in _walk(self.tree(path), skip="__getattr__" if path == TOP else None):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found |= self._modules(alias.name)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.name == "*":
                        raise SyntaxError(f"{path}:{node.lineno}: `import *` hides what it imports; name it")
                    found |= self._modules(f"{_origin(node, path)}.{alias.name}")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named = f"{Path(path).parent}/{node.value}"
                found |= {own for own in self.data if own == named or own.startswith(f"{named}/")}
        return found

    def tree(self, path: str) -> ast.Module:
        """Parse a module."""
        return ast.parse((self.root / path).read_text(encoding="utf-8"), path)

    def _modules(self, name: str) -> set[str]:
        """Return the files that importing `name` runs: its packages' and its own. Its last part may be no module."""
        found = set()
        parts = name.split(".")
        for folder in ("", f"{SCRIPTS}/"):  # a script's own folder is on its path
            for end in range(1, len(parts) + 1):
                place = folder + "/".join(parts[:end])
                found |= {path for path in (f"{place}.py", f"{place}/__init__.py") if (self.root / path).is_file()}
        return found

    @cached_property
    def files(self) -> tuple[str, ...]:
        """All files of the scripts' folder and of the package, except those left behind by other programs."""
        return tuple(sorted(path for top in (SCRIPTS, PACKAGE) for path in self._below(self.root / top)))

    def _below(self, folder: Path) -> Iterator[str]:
        for path in folder.iterdir():
            if LEFT_BEHIND.match(path.name):
                continue
            if path.is_dir():
                yield from self._below(path)
            else:
                yield path.relative_to(self.root).as_posix()

    @cached_property
    def data(self) -> tuple[str, ...]:
        """Those files that are not modules, such as templates."""
        return tuple(path for path in self.files if not path.endswith((".py", *NOT_READ)))

    def inside(self, folder: str) -> frozenset[str]:
        """Return the files in a folder and below."""
        return frozenset(path for path in self.files if path.startswith(f"{folder}/"))

    def collapsed(self, needed: frozenset[str]) -> set[str]:
        """Put folders for files: the topmost of which all files are needed, unless it has one file only."""
        found = set()
        for path in needed:
            folders = (str(folder) for folder in reversed(Path(path).parents[:-1]))
            whole = (folder for folder in folders if len(own := self.inside(folder)) > 1 and own <= needed)
            found.add(next(whole, path))
        return found

    def hidden_imports(self, path: str) -> list[str]:
        """Say, one line for each, where a module imports code of the project in a way that `directly` does not see.

        That is an attribute of the top package that is neither a module nor a constant, so that `__getattr__` or a
        function imports it; and a call of `import_module`, unless for another project.
        """
        constants = {
            target.id
            for node in self.tree(TOP).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        } | {"__file__"}
        modules = {own.split("/")[1].removesuffix(".py") for own in self.inside(PACKAGE)}
        nodes = list(_walk(self.tree(path)))
        top_names = {
            alias.asname or PACKAGE
            for node in nodes
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == PACKAGE or (alias.name.startswith(f"{PACKAGE}.") and not alias.asname)
        }
        taken = []
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and _origin(node, path) == PACKAGE:
                taken += [(node.lineno, f"{PACKAGE}.{alias.name}", alias.name) for alias in node.names]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in top_names:
                taken.append((node.lineno, f"{PACKAGE}.{node.attr}", node.attr))
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
                name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else PACKAGE
                if str(name).split(".")[0] == PACKAGE:
                    taken.append((node.lineno, ast.unparse(node), ""))
        return [f"{path}:{line}: {text}" for line, text, name in taken if name not in modules | constants]


def _walk(node: ast.AST, skip: str | None = None) -> Iterator[ast.AST]:
    """Yield what lies below a node, except docstrings, what only a type checker sees, and functions named `skip`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef) and child.name == skip:
            continue
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _walk(ast.Module(child.orelse, []), skip)
            continue
        yield child
        yield from _walk(child, skip)


def _origin(node: ast.ImportFrom, path: str) -> str:
    """Return the full name of the module that a `from ... import` in the module at `path` takes names from."""
    folders = Path(path).parts[: -node.level] if node.level else ()
    return ".".join([*folders, *([node.module] if node.module else [])])


def is_code(dep: str) -> bool:
    """Whether a dependency is code, and not data."""
    return dep.split("/")[0] in (SCRIPTS, PACKAGE)


def read_deps(text: str) -> dict[str, list[str]]:
    """Return the `deps` of each stage of a dvc.yaml."""
    return {name: stage.get("do", stage)["deps"] for name, stage in YAML(typ="safe").load(text)["stages"].items()}


def rewritten(text: str, code: Code) -> str:
    """Return the text of a dvc.yaml with the right code in each stage's `deps`, data first.

    It goes line by line, so that all else stays as it is. A comment beside an item, or on lines of its own before it,
    stays with the item. Raises ValueError where it can't make out a list, which has to have one line for each item.
    """
    lines = text.splitlines(keepends=True)
    result: list[str] = []
    section = stage = ""
    at = 0
    while at < len(lines):
        line = lines[at]
        result.append(line)
        at += 1
        if found := re.match(r"(\w+):", line):
            section = found[1]
        elif found := re.match(r"  (\w+):", line):
            stage = found[1]
        elif section == "stages" and (found := re.fullmatch(r"( {4,})deps:\s*(#.*)?\n", line)):
            start = at
            while at < len(lines) and re.match(rf"{found[1]} *[-#]", lines[at]):
                at += 1
            result += _items(lines[start:at], code.deps(stage), f"{found[1]}  - ")
    after = "".join(result)
    expected = {
        name: [*(dep for dep in deps if not is_code(dep)), *code.deps(name)] for name, deps in read_deps(text).items()
    }
    if read_deps(after) != expected:
        raise ValueError("dvc.yaml: give each item of `deps` a line of its own, `- path`")
    return after


def _items(lines: list[str], code: list[str], indent: str) -> list[str]:
    """Return the lines of one list: the data's as they were, then the code's."""
    items: dict[str, list[str]] = {}
    comments: list[str] = []
    for line in lines:
        if found := re.match(r" *- *['\"]?([^'\"\s]+)", line):
            items[found[1]] = [*comments, line]
            comments = []
        else:
            comments.append(line)
    data = [line for dep, own in items.items() if not is_code(dep) for line in own]
    return [*data, *(line for dep in code for line in items.get(dep, [f"{indent}{dep}\n"])), *comments]


def differences(before: str, after: str) -> list[str]:
    """Say, one line for each stage, how the `deps` of two dvc.yaml differ."""
    result = []
    new = read_deps(after)
    for name, deps in read_deps(before).items():
        changes = [f"-{dep}" for dep in deps if dep not in new[name]]
        changes += [f"+{dep}" for dep in new[name] if dep not in deps]
        if deps != new[name]:
            result.append(f"dvc.yaml: {name}: {' '.join(changes) or 'another order'}")
    return result


def main() -> None:
    """Write the lists, or check them."""
    parser = argparse.ArgumentParser(prog="python -m tools.dependencies", description="Code among the deps of dvc.yaml")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a list differs")
    args = parser.parse_args()
    path = ROOT / "dvc.yaml"
    before = path.read_text(encoding="utf-8")
    after = rewritten(before, Code(ROOT))
    for line in differences(before, after):
        print(line)
    if args.check:
        sys.exit("error: dvc.yaml: run `python -m tools.dependencies`" if after != before else None)
    path.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
