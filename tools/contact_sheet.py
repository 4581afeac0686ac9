#!/usr/bin/python3
"""Put pictures beside each other on one sheet, with a line under each.

    contact_sheet.py OUT.png TITLE PICTURE CAPTION [PICTURE CAPTION...]

TITLE is one line above all pictures. A caption's lines are wrapped. Pictures keep their pixels, small ones enlarged without
smoothing. Needs Pillow, as the system's Python has it, hence this file's first line, and the font DejaVu Sans (Debian:
python3-pil, fonts-dejavu-core).
"""
import sys

GAP, LINE_HEIGHT, LEAST = 16, 20, 256
PAPER, INK = (250, 249, 246), (27, 27, 30)
FONT, SIZE, TITLE_SIZE = "DejaVuSans.ttf", 14, 16


def wrapped(font, text, width):
    """The text in lines that are at most so many pixels wide, where its words allow it."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def main():
    if len(sys.argv) < 5 or len(sys.argv) % 2 == 0 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv or "-h" in sys.argv else 2
    from PIL import Image, ImageDraw, ImageFont

    pictures = [Image.open(path).convert("RGB") for path in sys.argv[3::2]]
    captions = sys.argv[4::2]
    pictures = [picture.resize([side * max(1, -(-LEAST // picture.width)) for side in picture.size], Image.NEAREST)
                for picture in pictures]
    font = ImageFont.truetype(FONT, SIZE)
    captions = [wrapped(font, caption, picture.width) for picture, caption in zip(pictures, captions)]
    top = GAP + LINE_HEIGHT + GAP
    width = sum(picture.width + GAP for picture in pictures) + GAP
    height = max(picture.height for picture in pictures)
    bottom = top + height + GAP // 2
    sheet = Image.new("RGB", (width, bottom + LINE_HEIGHT * max(map(len, captions)) + GAP), PAPER)
    draw, left = ImageDraw.Draw(sheet), GAP
    draw.text((GAP, GAP), sys.argv[2], fill=INK, font=ImageFont.truetype(FONT, TITLE_SIZE))
    for picture, caption in zip(pictures, captions):
        sheet.paste(picture, (left, top))
        for index, line in enumerate(caption):
            draw.text((left, bottom + index * LINE_HEIGHT), line, fill=INK, font=font)
        left += picture.width + GAP
    sheet.save(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
