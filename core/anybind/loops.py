"""Long loops: a progress bar, items that threads prepare ahead, memory and compiled code that are ready.

Public as `anybind.plugin.loops`.
"""

from anybind.allocator import keep_freed_memory as keep_freed_memory
from anybind.allocator import touch_memory as touch_memory
from anybind.jit import compile_early as compile_early
from anybind.prefetch import prefetch as prefetch
from anybind.progress import progress_bar as progress_bar
