"""The functions of ``noise`` for compilers: their text rewritten for numba, and in CUDA C++."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable

from opty.kernels.likelihood.noise import MODELS, TOO_DARK

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
# Where the first argument of `larger` is no number, it stays: see common.cuh.
_IN_CUDA = {"maximum": "larger", "minimum": "smaller", "sqrt": "sqrt", "log1p": "log1p", "log_ratio": "log_ratio"}


def _parsed(function: Callable) -> ast.FunctionDef:
    (parsed,) = ast.parse(inspect.getsource(function)).body
    parsed.body = parsed.body[1:]  # without the docstring
    return parsed


class _Literals(ast.NodeTransformer):
    """Whole numbers become ``number(k)``: numba takes an integer with single precision for double precision."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("number", ast.Load()), [node], [])


def for_numba(function: Callable, names: dict[str, object]) -> Callable:
    """Return a function of numbers for numba to compile; ``names`` : its functions, and ``number`` for its literals."""
    tree = ast.Module([_Literals().visit(_parsed(function))], [])
    there = {"TOO_DARK": names["number"](TOO_DARK), **names}
    exec(compile(ast.fix_missing_locations(tree), inspect.getfile(function), "exec"), there)
    return there[function.__name__]


_IN_CUDA_BY_NOISE = """
// L of a pixel and dL/dIhat.
template <typename Real>
struct Fit {
    Real value, slope;
};

template <typename Real>
__device__ inline Fit<Real> fit_of(Real predicted, Real measured, int noise)
{
%s
}

// L(Ihat + more) - L(Ihat) of a pixel.
template <typename Real>
__device__ inline Real change_of(Real predicted, Real measured, Real more, int noise)
{
%s
}
"""


def in_cuda() -> str:
    """Return the text of all models in CUDA C++, and of ``fit_of`` and ``change_of``, which choose by ``noise``."""
    functions = [f for model in MODELS.values() for f in model]
    fits = _choice("return {{{0}_value(predicted, measured), {0}_slope(predicted, measured)}};")
    changes = _choice("return {0}_change(predicted, measured, more);")
    names = f"enum Noise {{ {', '.join(MODELS)} }};"
    return "\n\n".join((names, *map(_function, functions))) + "\n" + _IN_CUDA_BY_NOISE % (fits, changes)


def _choice(action: str) -> str:
    *first, last = MODELS
    return "\n".join(
        (*(f"    if (noise == {name}) {action.format(name)}" for name in first), f"    {action.format(last)}")
    )


def _function(function: Callable) -> str:
    parsed = _parsed(function)
    arguments = ", ".join(f"Real {a.arg}" for a in parsed.args.args)
    lines = [f"    {_statement(node)};" for node in parsed.body]
    head = f"template <typename Real>\n__device__ inline Real {parsed.name}({arguments})"
    return "\n".join((head, "{", *lines, "}"))


def _statement(node: ast.stmt) -> str:
    if isinstance(node, ast.Return):
        return f"return {_expression(node.value)}"
    (target,) = node.targets
    return f"const Real {target.id} = {_expression(node.value)}"


def _expression(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return f"({_expression(node.left)} {_OPERATORS[type(node.op)]} {_expression(node.right)})"
    if isinstance(node, ast.Call):
        return f"{_IN_CUDA[node.func.id]}({', '.join(map(_expression, node.args))})"
    if isinstance(node, ast.Constant):
        return f"Real({node.value})"
    return f"Real({TOO_DARK})" if node.id == "TOO_DARK" else node.id
