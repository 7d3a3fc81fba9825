"""Containers of audio and video, by their first bytes."""

from __future__ import annotations

IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
"""Major brands of files in the MP4 container with images."""
AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
"""Major brands of files in the MP4 container with audio only."""
MATROSKA, ASF, FLV = b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"FLV\x01"
MATROSKA_TRACKS, MATROSKA_VIDEO, MATROSKA_AUDIO = b"\x16\x54\xae\x6b", b"\x83\x81\x01", b"\x83\x81\x02"
"""The Matroska element of tracks, and the elements of the track types video and audio."""
ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
FLV_VIDEO_FLAG = 1


MAGIC_BYTES = (MATROSKA, FLV, ASF, b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"YUV4MPEG2")
SIGNATURES = (*MAGIC_BYTES, b"RIFF", b"OggS", b"\0\0", b"G", b"\xff")
"""First bytes of everything that `is_container` and `is_audio_container` accept.

MP4 files begin with the size of a short box, transport streams with the letter G, AAC and MP3 streams with a byte 255.
"""
PACKET_BYTES = 188
"""Length of the packets of an MPEG transport stream; each begins with the letter G."""

MPEG_KBITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates in kbit/s of MPEG-1 (3) and MPEG-2 and 2.5, by the index in the frame header."""
MPEG_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def is_container(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a container or stream that FFmpeg reads.

    Playlists are excluded, since FFmpeg would open their targets too.
    """
    return (
        head.startswith(MAGIC_BYTES)
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or (head[:4] == b"OggS" and b"\x80theora" in head)
        or (head[4:8] == b"ftyp" and head[8:12] not in IMAGE_BRANDS)
        or (head[4:8] in (b"moov", b"mdat", b"wide") and head[:2] == b"\0\0")
        or head[: 3 * PACKET_BYTES : PACKET_BYTES] == b"GGG"
        or _is_adts(head)
    )


def is_audio_container(head: bytes) -> bool:
    """Return whether a file is a container (MP4, Matroska, ASF, FLV) or an AAC stream with audio and without video.

    False if the first bytes do not contain the list of tracks, as of MP4 files with their index at the end.
    """
    if head[4:8] == b"ftyp":
        return head[8:12] in AUDIO_BRANDS or (head[8:12] not in IMAGE_BRANDS and _has_mp4_audio_only(head))
    if head.startswith(MATROSKA):
        return MATROSKA_TRACKS in head and MATROSKA_AUDIO in head and MATROSKA_VIDEO not in head
    if head.startswith(ASF):
        return ASF_AUDIO in head and ASF_VIDEO not in head
    if head.startswith(FLV):
        return len(head) > 4 and not head[4] & FLV_VIDEO_FLAG
    return _is_adts(head)


def _has_mp4_audio_only(head: bytes) -> bool:
    index = head.find(b"moov") - 4
    is_complete = index >= 0 and index + int.from_bytes(head[index : index + 4], "big") <= len(head)
    return is_complete and b"soun" in head and b"vide" not in head


def _is_adts(head: bytes) -> bool:
    """Return whether the head is one or two consecutive frames of an AAC stream (ADTS)."""
    length = _get_adts_frame_length(head)
    return bool(length) and (len(head) < length + 7 or bool(_get_adts_frame_length(head[length:])))


def _get_adts_frame_length(head: bytes) -> int:
    """Return the length in bytes of the ADTS frame at the start, including its header; 0 if there is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


def is_mp3(head: bytes) -> bool:
    """Return whether the head is one or two consecutive frames of MPEG layer III."""
    length = _get_mp3_frame_length(head)
    return bool(length) and (len(head) < length + 4 or bool(_get_mp3_frame_length(head[length:])))


def _get_mp3_frame_length(head: bytes) -> int:
    """Return the length in bytes of the frame at the start, including its header; 0 if there is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] & 6 != 2:
        return 0
    version, bitrate, rate, padding = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return 0
    samples = 144 if version == 3 else 72
    return samples * 1000 * MPEG_KBITS[3 if version == 3 else 2][bitrate] // MPEG_HZ[version][rate] + padding
