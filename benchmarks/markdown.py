"""Tables in Markdown."""


def line(*cells: object) -> str:
    """Return a line of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def head(*names: str) -> list[str]:
    """Return the first two lines of a table; a name may stand for several columns, parted by " | "."""
    names_of_columns = line(*names)
    return [names_of_columns, "|---" * (names_of_columns.count("|") - 1) + "|"]
