#!/usr/bin/env python3
"""Write the files of the web page as a C source: an array of bytes each, and the table that page_files.h declares.

    page_bytes.py OUTPUT FILE...
"""
import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def array(number, data):
    lines = [",".join(map(str, data[at:at + 32])) for at in range(0, len(data), 32)]
    return f"static const unsigned char file_{number}[] = {{\n" + ",\n".join(lines) + "};\n"


def main():
    output, *names = map(pathlib.Path, sys.argv[1:])
    parts, rows = [], []
    for number, path in enumerate(sorted(names, key=lambda path: path.name)):
        if path.suffix not in TYPES:
            sys.exit(f"page_bytes.py: {path}: its type is not known; add it to TYPES")
        data = path.read_bytes()
        if not data:
            sys.exit(f"page_bytes.py: {path} is empty")
        tag = hashlib.sha256(data).hexdigest()[:16]
        parts.append(array(number, data))
        rows.append(f'    {{"{path.name}", "{TYPES[path.suffix]}", "\\"{tag}\\"", file_{number}, {len(data)}}},\n')
    output.write_text('#include "service/page_files.h"\n\n' + "\n".join(parts) +
                      "\nconst struct page_file page_files[] = {\n" + "".join(rows) + "};\n" +
                      f"const size_t page_file_count = {len(rows)};\n", encoding="ascii")


main()
