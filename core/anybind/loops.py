"""Long loops: a progress bar, items that threads prepare ahead, and memory that the process keeps.

Public as `anybind.plugin.loops`.
"""

from anybind.allocator import keep_freed_memory as keep_freed_memory
from anybind.prefetch import prefetch as prefetch
from anybind.progress import progress_bar as progress_bar
