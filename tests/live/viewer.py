"""What a viewer gets from a page, by plain HTTP."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest

TOKEN = "a-token-of-tests"


class Viewer:
    """Somebody who looks at a page."""

    def __init__(self, url, token=TOKEN):
        self.base, self.token = url.split("?")[0].rstrip("/"), token

    def get(self, path, method="GET", **asked):
        query = "&".join(f"{name}={value}" for name, value in {"token": self.token, **asked}.items())
        request = urllib.request.Request(f"{self.base}{path}?{query}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers, answer.read()

    def refused(self, path, method="GET", **asked):
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.get(path, method, **asked)
        with caught.value as answer:
            return answer.code, answer.read().decode()

    def status(self, after=-1):
        return json.loads(self.get("/status", after=after)[1])

    def until(self, holds):
        """Return the first status of which something holds."""
        found = self.status()
        for _ in range(400):
            if holds(found):
                return found
            found = self.status(found["number"])
        raise AssertionError(found)

    def order(self, what):
        self.get(f"/{what}", "POST")

    def part(self, path, **asked):
        """Return complex numbers, NaN where no view lights the pixel, and where they lie."""
        headers, content = self.get(path, **asked)
        place = json.loads(headers["X-Opty-Part"])
        pairs = np.frombuffer(content, "<i2").reshape(*place["shape"], 2)
        values = place["scale"] * (pairs[..., 0] + 1j * pairs[..., 1])
        return np.where(pairs[..., 0] == -32768, np.nan, values), place
