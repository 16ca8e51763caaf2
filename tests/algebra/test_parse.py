"""Texts and JSON become recipes, or are refused with the place; nothing in them is ever evaluated."""

import ast
import contextlib
import json
import re
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import opty
from opty import RecipeError, from_json, parse
from opty.algebra.syntax import in_words
from opty.algebra.unknown import import_installed


def test_a_text_is_a_recipe():
    text = "(PosCorrectAdam(step=0.3) * rPIE(alpha=0.05, batch='all')) ** 200 * DM() ** Until(tol=1e-3, max_turns=5)"
    made = (opty.PosCorrectAdam(step=0.3) * opty.rPIE(alpha=0.05, batch="all")) ** 200
    assert parse(text) == made * opty.DM() ** opty.Until(tol=1e-3, max_turns=5)
    assert parse("  Every(5, Orthogonalise())*ePIE()\n") == opty.Every(5, opty.Orthogonalise()) * opty.ePIE()
    assert parse("Save('größe \U0001f600.h5')") == opty.Save("größe \U0001f600.h5")
    assert parse("Sweep(\n  ObjUpdate(),\n  batch=None)") == opty.Sweep(opty.ObjUpdate())


FORBIDDEN = {
    "attribute": ("ePIE() * os.system('x')", 9),
    "attribute of an operator": ("ePIE().iter", 0),
    "attribute of a class": ("ePIE.__init__()", 0),
    "unknown call": ("ePIE() * eval('1')", 9),
    "import": ("__import__('os').system('true')", 0),
    "comprehension": ("[ePIE() for x in (1, 2)]", 0),
    "generator": ("Compose(x for x in (1, 2))", 7),
    "lambda": ("ePIE() * (lambda: 1)", 10),
    "f-string": ("Save(f'{1}')", 5),
    "subscript": ("ePIE() * (ePIE(),)[0]", 9),
    "walrus": ("ePIE() * (x := ePIE())", 10),
    "starred": ("Every(*(2, ePIE()))", 6),
    "keyword **": ("rPIE(**{'alpha': 1})", 7),
    "conditional": ("ePIE() if 1 else rPIE()", 0),
    "boolean": ("ePIE() and rPIE()", 0),
    "comparison": ("ePIE() == rPIE()", 0),
    "dictionary": ("Every(2, {})", 9),
    "list": ("Every(2, [])", 9),
    "bytes": ("Save(b'x')", 5),
    "complex": ("rPIE(alpha=1j)", 11),
    "ellipsis": ("rPIE(alpha=...)", 11),
    "sum": ("ePIE() + rPIE()", 0),
    "minus an operator": ("-ePIE()", 0),
    "minus minus": ("rPIE(alpha=--1)", 11),
    "minus true": ("rPIE(alpha=-True)", 11),
    "arithmetic": ("rPIE(alpha=1+1)", 11),
    "product of numbers": ("rPIE(alpha=2*3)", 13),
    "power of numbers": ("ePIE() ** 2 ** 3", 10),
    "number": ("ePIE() * 3", 9),
    "await": ("await ePIE()", 0),
    "method of a call": ("ePIE()()", 0),
    "a class alone": ("ePIE() * rPIE", 9),
    "an unmade parameter": ("Every(2, rPIE)", 9),
    "dunder name": ("__builtins__", 0),
}


deeds: list[str] | None = None  # what the interpreter did while a test listened


def _listen(event: str, _) -> None:
    if deeds is not None and event in ("exec", "import", "open", "os.system", "subprocess.Popen"):
        deeds.append(event)


sys.addaudithook(_listen)


@contextlib.contextmanager
def nothing_is_done():
    global deeds
    import_installed()  # packages that name operators are looked for, once
    deeds = []
    try:
        yield
    finally:
        done, deeds = deeds, None
    assert not done


def test_the_listener_hears():
    with pytest.raises(AssertionError), nothing_is_done():
        eval("1")


@pytest.mark.parametrize(("text", "at"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_is_no_recipe_is_refused_where_it_stands(text, at):
    message = ""
    with nothing_is_done():
        try:
            parse(text)
        except RecipeError as error:
            message = str(error)
    assert f"at character {at}: " in message
    line, caret = message.split("\n")[-2:]
    assert line[caret.index("^") :] == text[at:]


@pytest.mark.parametrize(
    "text", ["", "  ", "3", "'rPIE()'", "None", "(ePIE(), rPIE())", "Until()", "x = 1", "ePIE(); rPIE()"]
)
def test_a_text_that_is_something_else(text):
    with pytest.raises(RecipeError):
        parse(text)


@pytest.mark.parametrize("wrong", [None, 3, b"ePIE()", opty.ePIE()])
def test_only_texts_are_parsed(wrong):
    with pytest.raises(RecipeError, match="a recipe's text is a string, got"):
        parse(wrong)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rPEI()", r"unknown operator 'rPEI'; did you mean rPIE\?"),
        ("ePIE() * objupdate()", r"did you mean ObjUpdate\?"),
        ("rPIE(alhpa=1)", r"rPIE has no parameter 'alhpa'; did you mean alpha\?"),
        ("rPIE(zzz=1)", "it has alpha, beta, batch"),
        ("Xyzzy()", "known: AP, AccumObj"),
        ("Identity(3)", "Identity"),
        ("Every()", "Every needs n and op"),
        ("ePIE(1, 1.0, 0.5, 3, 4, 5, 6)", r"ePIE takes 3 values \(batch, .*, not 7"),
        ("rPIE(alpha=0.1, alpha=0.2)", "repeated"),
        ("rPIE(1, alpha=0.2)", "alpha twice"),
        ("rPIE(alpha=7)", "from 0 to 1"),
        ("rPIE(alpha=1e999)", "finite"),
        ("rPIE() ** -1", "cannot be undone"),
        ("rPIE() ** 1.5", "number of turns"),
        ("rPIE() ** True", "number of turns"),
        ("Save('\\d')", "invalid escape"),
        ("rPIE(", "was never closed"),
    ],
)
def test_a_slip_is_named(text, hint):
    with pytest.raises(RecipeError, match=hint):
        parse(text)


def _examples() -> dict[str, ast.AST]:
    """A node of every kind of expression, operation and constant that Python has."""
    some = ast.Name("x")
    apart = (ast.BinOp, ast.UnaryOp, ast.Constant)
    found = {k.__name__: k() for k in ast.expr.__subclasses__() if k not in apart and k.__name__ in dir(ast)}
    found |= {k.__name__: ast.BinOp(some, k(), some) for k in ast.operator.__subclasses__()}
    found |= {k.__name__: ast.UnaryOp(k(), some) for k in ast.unaryop.__subclasses__()}
    return found | {repr(v): ast.Constant(v) for v in (b"x", 1j, ..., 3, "a", None)}


def test_all_of_pythons_syntax_has_words():
    examples = _examples()
    assert {"JoinedStr", "Add", "Starred", "Subscript", "NamedExpr", "b'x'"} <= set(examples)
    for name, node in examples.items():
        words = in_words(node)
        assert words != "this kind of expression", name
        assert not re.search(r"[A-Z][a-z]+[A-Z]|ast\.|Op\b|<.*>", words.replace("Ellipsis", "")), (name, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ePIE() + rPIE()", r"\+ between two values is not allowed in a recipe: it holds operators, numbers"),
        ("ePIE() / 2", "/ between two values is not allowed"),
        ("-ePIE()", "- before a value that is no number is not allowed"),
        ("not ePIE()", "not before a value that is no number"),
        ("ePIE() and rPIE()", "'and' or 'or' is not allowed"),
        ("Every(2, [ePIE()])", r"a list \[...\]; write a tuple"),
        ("ePIE().iter", r"an attribute \(a dot\) is not allowed"),
        ("opty.ePIE()", r"an attribute \(a dot\) is not allowed"),
        ("Save(f'{1}')", "an f-string is not allowed"),
        ("ePIE() * (ePIE(),)[0]", r"an index \[\.\.\.\] is not allowed"),
        ("Every(*(2, ePIE()))", "an argument with a star is not allowed"),
        ("rPIE(**{'alpha': 1})", r"arguments with \*\* are not allowed"),
        ("ePIE()()", "a call of what a call returns is not allowed"),
        ("Save(b'x')", "a text of bytes is not allowed"),
        ("ePIE() * Every", r"Every is named but not made; write Every\(n=\.\.\., op=\.\.\.\)"),
    ],
)
def test_what_is_no_recipe_is_named_in_words(text, words):
    with pytest.raises(RecipeError, match=words):
        parse(text)


def test_the_place_counts_characters_and_lines():
    for text in ("Save('ééé') * rPEI()", "(ePIE() *\n  rPEI())", "(ePIE() *\r\n  rPEI())", "(ePIE() *\n  rPIE() $ 2)"):
        with pytest.raises(RecipeError) as caught:
            parse(text)
        at = text.index("$" if "$" in text else "rPEI")
        assert f"at character {at}: " in str(caught.value)
        line, caret = str(caught.value).split("\n")[-2:]
        assert text[at:].startswith(line[caret.index("^") :][:4])


def test_the_place_in_a_long_text_is_shown_around_it():
    with pytest.raises(RecipeError) as caught:
        parse("ePIE() * " * 50 + "rPEI()")
    line, caret = str(caught.value).split("\n")[-2:]
    assert line[caret.index("^") :] == "rPEI()"
    assert len(line) < 150


MONSTERS = [
    "(" * 10_000,
    "-" * 10_000 + "1",
    "1" * 100_000,
    "rPIE(alpha=1" + "0" * 400 + ")",
    "rPIE(batch=" + "9" * 4301 + ")",
    "\0",
    "ePIE()\0",
    "\ud800",
    "rPIE()**" * 300 + "2",
    "rPIE()**" * 5000 + "2",
    "rPIE() * " * 5000 + "rPIE()",
    "Every(1, " * 190 + "ePIE()" + ")" * 190,
    "Every(1, " * 5000,
    "[" * 5000,
    "a." * 5000 + "b",
    "'" * 9999,
    "\\",
    "#",
    "\n" * 1000,
    "ePIE()  # a comment",
    "\x0c\x0cePIE()",
    "ＥPIE()",
    "if",
    "yield 3",
    "print('x')",
    "1if 1else 2",
    "0777",
    "Until(max_turns=1, tol=1e-400)",
    "rPIE() * Until()",
    "Repeat(rPIE(), Until())",
    "Compose((rPIE(),))",
    "Compose((rPIE(), rPIE()))",
]


def refuses_or_reads(text):
    start = time.monotonic()
    with nothing_is_done():
        try:
            assert isinstance(parse(text), opty.Operator)
            message = ""
        except RecipeError as error:
            message = str(error)
    assert len(message) < 4000
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("text", MONSTERS, ids=[repr(m[:14]) + str(len(m)) for m in MONSTERS])
def test_no_text_brings_the_reader_down(text, capfd):
    refuses_or_reads(text)
    assert capfd.readouterr() == ("", "")


tokens = st.sampled_from(
    [*"()[]{}*,.=:+-/'\"\\#@!<>|&^~% \n\t01e_é", "**", "ePIE", "rPIE()", "Sweep(", "Every(2,", "ObjUpdate()", "Until(",
     "alpha=", "batch=", "1.5", "None", "True", "lambda", "for", "in", "__class__", "f'", ":=", "Compose(", "Repeat("]
)  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(tokens, max_size=25).map("".join) | st.text(max_size=60))
@example("Every(2, ePIE()) ** 2 ** 2")
def test_random_texts_are_read_or_refused(text):
    before = set(opty.algebra.operator.REGISTRY)
    refuses_or_reads(text)
    assert set(opty.algebra.operator.REGISTRY) == before


# -- JSON


def wrapped(recipe, version=1):
    return json.dumps({"opty": version, "recipe": recipe})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a recipe in JSON"),
        ("{", "not a recipe in JSON"),
        ("3", "expected"),
        ("[]", "expected"),
        ('{"opty": 1}', "expected"),
        ('{"opty": 1, "recipe": {"ePIE": {}}, "run": "x"}', "expected"),
        (wrapped({"ePIE": {}}, 2), "recipe format 2; this opty reads version 1: update opty"),
        (wrapped({"ePIE": {}}, "1"), "recipe format '1'"),
        (wrapped({"ePIE": {}}, True), "recipe format True"),
        (wrapped({"rPEI": {}}), r"did you mean rPIE\?"),
        (wrapped({"os.system": {}}), "unknown operator"),
        (wrapped({"Control": {}}), "unknown operator 'Control'"),
        (wrapped({"rPIE": {"alhpa": 1}}), r"did you mean alpha\?"),
        (wrapped({"rPIE": {"alpha": "x"}}), "is 'x'; give a number"),
        (wrapped({"rPIE": 3}), "got {'rPIE': 3}"),
        (wrapped({"rPIE": {}, "ePIE": {}}), "got the keys"),
        (wrapped({}), "got the keys"),
        (wrapped({"Every": {"n": 2}}), "Every needs op"),
        (wrapped({"Compose": {"steps": [1, 2]}}), "Compose"),
        (wrapped({"Compose": {"steps": 7}}), "Compose"),
        (wrapped({"Compose": {"steps": [{"ePIE": {}}]}}), "two steps or more"),
        (wrapped({"Compose": {"steps": [{"ePIE": {}}, {"ePIE": {}}], "more": 1}}), "no parameter 'more'"),
        (wrapped({"Repeat": {"body": 3, "times": 2}}), "Repeat"),
        (wrapped({"Repeat": {"body": {"ePIE": {}}, "times": True}}), "Repeat"),
        (wrapped({"Until": {}}), "it holds Until"),
        (wrapped([{"ePIE": {}}]), "it holds"),
        (wrapped(None), "it holds None"),
        ('{"opty": 1, "recipe": ' + "[" * 500 + "]" * 500 + "}", "nested too deep|not a recipe"),
        ("[" * 100_000, "not a recipe in JSON"),
        ('{"opty": 1, "recipe": 1' + "0" * 5000 + "}", "not a recipe in JSON"),
    ],
)
def test_json_that_is_no_recipe_is_refused(text, message):
    with pytest.raises(RecipeError, match=message):
        from_json(text)


def test_json_out_of_range_is_refused():
    with pytest.raises(ValueError, match="two turns or more"):
        from_json(wrapped({"Repeat": {"body": {"ePIE": {}}, "times": -3}}))
    with pytest.raises(ValueError, match="finite"):
        from_json('{"opty": 1, "recipe": {"rPIE": {"alpha": NaN}}}')


def test_json_may_leave_out_defaults_and_is_plain():
    assert from_json(wrapped({"rPIE": {}})) == opty.rPIE()
    written = json.loads(
        (opty.Every(5, opty.Orthogonalise()) * opty.Orthogonalise() ** opty.Until(max_turns=3)).to_json()
    )
    assert written["opty"] == 1
    assert written["recipe"]["Compose"]["steps"] == [
        {"Every": {"n": 5, "op": {"Orthogonalise": {}}, "first": None}},
        {"Repeat": {"body": {"Orthogonalise": {}}, "times": {"Until": {"tol": 1e-4, "max_turns": 3}}}},
    ]


class Picky(opty.Operator):
    """An operator whose parameters carry names that a format might want for itself."""

    op: float = 1.0
    rule: str = ""
    name: tuple[str, ...] = ()


def test_any_name_of_a_parameter_survives_json():
    for op in (Picky(), Picky(op=2, rule="Until", name=("a",)), Picky() ** opty.Until()):
        assert from_json(op.to_json()) == op
