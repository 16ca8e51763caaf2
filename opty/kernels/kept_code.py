"""Where compiled loops are kept on disk, so that processes that compile at the same time do not mix them up."""

from __future__ import annotations

import hashlib
from types import FunctionType

from numba.core.caching import IndexDataCacheFile


class CodeByTypes(IndexDataCacheFile):
    """Files of compiled code that are named by the types that they are for.

    numba numbers them, by an index that another process may write at the same time: two processes that compile a
    function for different types both take the first number, and whoever reads the index of one gets the code of the
    other, which takes arrays for what they are not. (https://github.com/numba/numba/issues/4807 tells of such crashes.)
    """

    def save(self, key, data):
        """Write the code, then the index; where two processes write at once, the index may lack the code of one."""
        named = hashlib.sha256(repr((key, self._source_stamp)).encode()).hexdigest()[:16]
        name = f"{self._index_name.removesuffix('.nbi')}.{named}.nbc"
        self._save_data(name, data)
        self._save_index(self._load_index() | {key: name})


def keep_apart(dispatcher):
    """Let a function of numba keep its code in such files; return the function.

    Under NUMBA_DISABLE_JIT it is the Python function, which keeps nothing.
    """
    if isinstance(dispatcher, FunctionType):
        return dispatcher
    cache = dispatcher._cache
    kept = cache._cache_file
    cache._cache_file = CodeByTypes(kept._cache_path, kept._index_name.removesuffix(".nbi"), kept._source_stamp)
    return dispatcher
