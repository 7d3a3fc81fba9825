"""`push`: uploads a pack to the Hugging Face hub."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from anybind.plugin import BadInput, BadOption
from anybind_packs.card import CARD, check_files, read_pack

TOKEN = re.compile(r"[!-~]{1,500}", re.ASCII)


def push(
    folder: str | os.PathLike[str],
    target: str,
    *,
    token_file: str | os.PathLike[str] | None = None,
    private: bool = False,
    message: str = "",
) -> str:
    """Upload a pack to the hub, as one commit: the files of the pack, and no others of the folder.

    Args:
        folder: a folder of `pack`.
        target: `hf:ORG/NAME`; the repository is created if it does not exist.
        token_file: a file with the access token. [default: HF_TOKEN, or the token that `hf auth login` stored]
        private: create a private repository.
        message: message of the commit. [default: the name of the pack]

    Returns:
        the name of the binding with the commit: `hf:ORG/NAME@COMMIT`.

    Raises:
        BadInput: the folder is not a valid pack, the token cannot be read, or the hub refuses it or cannot be reached.
        BadOption: an invalid target, or no token.
        WeightsMismatch: a file of the pack is truncated or changed.
        MissingExtra: huggingface_hub is not installed.
    """
    scheme, _, repository = target.partition(":")
    if scheme != "hf" or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII):
        raise BadOption(f"expected a target hf:ORG/NAME, got {target!r:.100}")
    path = Path(folder).expanduser()
    card = read_pack(path)
    check_files(path, card)
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.utils import disable_progress_bars

    token = _read_token(token_file)
    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi(token=token, library_name="anybind")
    operations = [CommitOperationAdd(name, path / name) for name in (*card.files, CARD)]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.create_commit(repository, operations, commit_message=message or f"Add the pack {card.name}")
    except Exception as error:  # of the hub's answers, the connection, and the files, each of another class
        reason = " ".join(str(error).split())[:300].replace(token, "***")
        raise BadInput(f"cannot push to {target}: {reason or type(error).__name__}") from None
    return f"hf:{repository}@{commit.oid}"


def _read_token(token_file: str | os.PathLike[str] | None) -> str:
    """Read the access token; messages never contain it."""
    if token_file is None:
        from huggingface_hub import get_token

        token = get_token() or ""
        if not token:
            raise BadOption("expected an access token of the hub: set HF_TOKEN, or give --token-file FILE")
        return token
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "expected a text in ASCII"
        raise BadInput(f"cannot read the token in {os.fspath(token_file)}: {reason}") from None
    if not TOKEN.fullmatch(token):
        raise BadInput(f"{os.fspath(token_file)}: expected an access token alone in the file")
    return token
