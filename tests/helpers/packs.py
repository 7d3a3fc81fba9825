"""Changes of packs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def change_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the card of a pack."""
    card = json.loads((folder / "pack.json").read_text())
    change(card)
    (folder / "pack.json").write_text(json.dumps(card))
