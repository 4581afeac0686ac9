#!/usr/bin/python3
"""Put pictures beside each other on one sheet, with a line under each.

    contact_sheet.py OUT.png PICTURE CAPTION [PICTURE CAPTION...]

Pictures keep their pixels, small ones enlarged without smoothing. Needs Pillow, as the system's Python has it (Debian: python3-pil), hence this
file's first line.
"""
import sys
import textwrap

GAP, LINE_HEIGHT, CAPTION_LINES, LEAST = 16, 15, 4, 256
PAPER, INK = (250, 249, 246), (27, 27, 30)


def main():
    if len(sys.argv) < 4 or len(sys.argv) % 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv or "-h" in sys.argv else 2
    from PIL import Image, ImageDraw, ImageFont

    pictures = [Image.open(path).convert("RGB") for path in sys.argv[2::2]]
    captions = sys.argv[3::2]
    pictures = [picture.resize([side * max(1, -(-LEAST // picture.width)) for side in picture.size], Image.NEAREST)
                for picture in pictures]
    width = sum(picture.width + GAP for picture in pictures) + GAP
    height = max(picture.height for picture in pictures)
    sheet = Image.new("RGB", (width, GAP + height + GAP + LINE_HEIGHT * CAPTION_LINES), PAPER)
    draw, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(), GAP
    for picture, caption in zip(pictures, captions):
        sheet.paste(picture, (left, GAP))
        # The built-in font is 6 pixels wide.
        for index, line in enumerate(textwrap.wrap(caption, picture.width // 6)[:CAPTION_LINES]):
            draw.text((left, GAP + height + GAP // 2 + index * LINE_HEIGHT), line, fill=INK, font=font)
        left += picture.width + GAP
    sheet.save(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
