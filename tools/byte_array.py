#!/usr/bin/env python3
"""Write a file as a C source: the array NAME of its bytes, and NAME_count.

    byte_array.py OUTPUT HEADER NAME FILE      HEADER: the one that declares both
"""
import pathlib
import sys


def main():
    output, header, name, path = sys.argv[1:]
    data = pathlib.Path(path).read_bytes()
    lines = [",".join(map(str, data[at:at + 32])) for at in range(0, len(data), 32)]
    pathlib.Path(output).write_text(f'#include "{header}"\n\nconst unsigned char {name}[] = {{\n' + ",\n".join(lines) +
                                    f"}};\nconst size_t {name}_count = sizeof {name};\n", encoding="ascii")


main()
