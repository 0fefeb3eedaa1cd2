"""Which run records a cell of a notebook reads, itself or through what earlier cells made of them.

The code is read, not run: a name is followed from ``load_records(protocols.configs("fashion-mnist", ...))``
through assignments, loops and functions to the cell in question.
"""

from __future__ import annotations

import ast
import functools
from typing import Any

READERS = {"load_records", "available"}  # give records that exist
Runs = frozenset[tuple[str, int, bool]]  # protocol, seeds, whether records of it were read


def records_behind(notebook: dict[str, Any], index: int) -> list[tuple[str, int, int]]:
    """Protocol, number of records and of seeds, for the cell at ``index``; nothing if it reads none."""
    names: dict[str, Runs] = {}
    constants: dict[str, Any] = {}
    used: Runs = frozenset()
    for position, cell in enumerate(notebook["cells"][: index + 1]):
        if cell["cell_type"] != "code":
            continue
        try:
            tree = ast.parse("".join(cell["source"]))
        except SyntaxError:  # a line for the shell, such as %pip
            continue
        for statement in tree.body:
            found = _follow(statement, names, constants)
            used = used | found if position == index else used
    pairs = sorted({(protocol, seeds) for protocol, seeds, read in used if read})
    counted = [(protocol, shipped(protocol, seeds), seeds) for protocol, seeds in pairs]
    return [row for row in counted if row[1]]


@functools.cache
def shipped(protocol: str, seeds: int) -> int:
    """How many of a protocol's records come with the book."""
    from sam_edu.experiments import available, protocols

    return sum(map(len, available(protocols.configs(protocol, range(seeds)), None).values()))


def _follow(statement: ast.stmt, names: dict[str, Runs], constants: dict[str, Any]) -> Runs:
    """What a statement reads; its targets are remembered with it."""
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                constants[target.id] = statement.value.value
    found = _runs(statement, names, constants)
    made, changed = _targets(statement)
    names.update({name: found for name in made})
    names.update({name: names.get(name, frozenset()) | found for name in changed})
    return found


LOCAL = (
    ast.For,
    ast.With,
    ast.FunctionDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def _runs(node: ast.AST, names: dict[str, Runs], constants: dict[str, Any]) -> Runs:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return names.get(node.id, frozenset())
    if isinstance(node, LOCAL):  # what it names itself is not what an earlier cell called so
        own = _targets(node)[0] | {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
        names = {name: runs for name, runs in names.items() if name not in own}
    inside = frozenset[tuple[str, int, bool]]().union(
        *(_runs(child, names, constants) for child in ast.iter_child_nodes(node))
    )
    if not isinstance(node, ast.Call):
        return inside
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called == "configs":
        arguments = [*node.args, *(k.value for k in node.keywords)]
        protocol, seeds = (_value(argument, constants) for argument in arguments[:2])
        if isinstance(protocol, str) and isinstance(seeds, int):
            return inside | {(protocol, seeds, False)}
    if called in READERS:
        return frozenset((protocol, seeds, True) for protocol, seeds, _ in inside)
    if called == "sweep":  # trains here, or reads what it trained before
        return frozenset()
    return inside


def _value(node: ast.expr, constants: dict[str, Any]) -> Any:
    """A constant, the name of one, or the n of range(n)."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "range" and len(node.args) == 1:
        return _value(node.args[0], constants)
    return None


def _targets(node: ast.AST) -> tuple[set[str], set[str]]:
    """Names that are made (by assignments, loops, functions) and those that are changed (x.append(...))."""
    made, changed = set(), set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            made.add(part.id)
        elif isinstance(part, ast.FunctionDef):
            made.add(part.name)
        elif isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store):
            changed |= {n.id for n in ast.walk(part.value) if isinstance(n, ast.Name)}
        elif isinstance(part, ast.Attribute) and part.attr in (
            "append",
            "extend",
            "update",
            "add",
            "setdefault",
        ):
            changed |= {part.value.id} if isinstance(part.value, ast.Name) else set()
    return made, changed - made
