"""What a file is, by its first bytes: so that an error can name what was found."""

from __future__ import annotations

# (offset, bytes, what it is); formats without a reader come with them so that the error can name them.
_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"GIF8", "GIF"),
    (4, b"ftypavi", "AVIF"),
    *((0, b"P%d" % kind, "PPM") for kind in range(1, 7)),
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftyp", "MP4 or MOV video"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"%!PS", "EPS or PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS or PostScript"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x93NUMPY", "NumPy array"),
    (0, b"PK\3\4", "zip"),
    (0, b"\x1f\x8b", "gzip"),
)


def identified(head: bytes, formats: tuple[str, ...], readable: tuple[str, ...]) -> str:
    """What a file is that none of `formats` could read, though `readable` lists all with a reader; and what to do."""
    if not head:
        return "an empty file; get the file again"
    for offset, signature, name in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            if name.upper() in formats:
                return f"{name} data, but damaged or of a rare kind; get the file again or save it as 8-bit PNG"
            if name.upper() in readable:
                return f"{name} data, which does not keep label values exactly; save labels as PNG"
            return f"{name} data, which Tarsia does not read; save the picture as PNG or JPEG"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer in place of the picture; fetch it with `git lfs pull`"
    if b"<svg" in head:
        return "an SVG drawing, which Tarsia does not read; save the picture as PNG"
    text = head.decode("utf-8", errors="ignore")
    printable = sum(c.isprintable() or c.isspace() for c in text) > 0.9 * len(head)
    what = "a text file" if printable else "a file of an unknown format"
    return f"{what}, not a picture; expected one of {', '.join(formats)}"
