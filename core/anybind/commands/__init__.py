"""The commands that need no plugin to exist, one a module; `anybind.cli` lists them."""
