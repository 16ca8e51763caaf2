"""A result as one HTML file to send: pictures, recipe, what was found, versions, how to run it again.

write.py     report(result, path): gathers the parts and writes the file
contents.py  the words: summary, what was found, recipe as code, checksums, versions
pictures.py  the pictures as PNG, within a budget of bytes
page.py      the page: HTML, its style, and the script that enlarges pictures
"""

from opty.report.write import report

__all__ = ["report"]
