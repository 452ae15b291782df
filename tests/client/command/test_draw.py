"""--draw: boxes are drawn at the API's coordinates, on the upright picture."""

import io
import struct
from pathlib import Path

import pytest
from facecloud_client import Box, Face, FaceResult, InputError
from facecloud_client.command.draw import BOX_COLOUR, POINT_COLOUR, Targets, draw, label
from facecloud_client.request.sources import Source, source
from PIL import Image
from PIL.PngImagePlugin import PngInfo

FACE = Face(Box(40, 60, 50, 30), probability=0.98712, landmark={"nose": (65, 75)})
RESULT = FaceResult((FACE,), 0, {})
ORIENTATION = 0x0112


def test_box_and_landmark_are_drawn_in_place(tmp_path: Path) -> None:
    Image.new("RGB", (200, 120), "white").save(tmp_path / "in.png")
    draw(source(tmp_path / "in.png"), RESULT, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.size == (200, 120)
        for corner in ((40, 60), (89, 60), (40, 89), (89, 89)):
            assert drawn.getpixel(corner) == BOX_COLOUR
        assert drawn.getpixel((65, 75)) == POINT_COLOUR
        assert drawn.getpixel((50, 68)) == (255, 255, 255)


def test_a_rotated_photograph_is_drawn_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turn right to see it upright
    Image.new("RGB", (120, 200), "white").save(tmp_path / "in.jpg", exif=exif)
    draw(source(tmp_path / "in.jpg"), RESULT, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.size == (200, 120)
        assert drawn.getpixel((40, 89)) == BOX_COLOUR


def test_a_rotation_in_xmp_is_ignored(tmp_path: Path) -> None:
    """The service reads only EXIF, so the API's coordinates are those of the picture as stored."""
    turned = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", turned.decode())
    Image.new("RGB", (200, 120), "white").save(tmp_path / "in.jpg", xmp=turned)
    Image.new("RGB", (200, 120), "white").save(tmp_path / "in.png", pnginfo=text)
    for name in ("in.jpg", "in.png"):
        draw(source(tmp_path / name), RESULT, tmp_path / "out.png")
        with Image.open(tmp_path / "out.png") as drawn:
            assert drawn.size == (200, 120)
            assert drawn.getpixel((40, 89)) == BOX_COLOUR


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [(0x010F, 11, b"\xff" * 4), (0x011A, 1, b"\xff" * 4), (0x0128, 4, b"\xff" * 4)],
    ids=["a maker that is a number", "a resolution of one byte", "a unit that is out of range"],
)
def test_malformed_exif_does_not_prevent_a_drawing(tmp_path: Path, tag: int, kind: int, value: bytes) -> None:
    entries = [(tag, kind, value), (ORIENTATION, 3, b"\x06\x00\x00\x00")]
    packed = b"".join(struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in sorted(entries))
    exif = b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)
    Image.new("RGB", (120, 200), "white").save(tmp_path / "in.jpg", exif=exif)
    draw(source(tmp_path / "in.jpg"), RESULT, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.size == (200, 120)
        assert drawn.getpixel((40, 89)) == BOX_COLOUR


def test_a_jpeg_without_its_end_marker_is_drawn(tmp_path: Path) -> None:
    complete = io.BytesIO()
    Image.new("RGB", (200, 120), "white").save(complete, "JPEG")
    draw(Source("x", data=complete.getvalue()[:-2]), RESULT, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.getpixel((40, 89)) == BOX_COLOUR


def test_a_picture_of_16_bits_keeps_its_grey_levels(tmp_path: Path) -> None:
    Image.new("I;16", (200, 120), 0x8000).save(tmp_path / "in.png")
    draw(source(tmp_path / "in.png"), RESULT, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.getpixel((10, 10)) == (128, 128, 128)


def test_a_label_is_the_probability_or_gender_and_age() -> None:
    assert label(FACE) == "0.987"
    assert label(Face(FACE.location, age=32, gender="F")) == "F 32"


def test_output_names_never_collide(tmp_path: Path) -> None:
    sources = [
        Source("a/x.jpg", path=Path("a/x.jpg")),
        Source("b/x.jpg", path=Path("b/x.jpg")),
        Source("https://example.org/p/y.webp?z=1", url="https://example.org/p/y.webp?z=1"),
        Source("-", data=b"x"),
    ]
    targets = Targets(tmp_path, sources)
    names = [targets.of(source).name for source in sources]
    assert names == ["x.jpg", "x-2.jpg", "y.png", "picture.png"]


def test_one_picture_goes_to_a_file_or_into_a_folder(tmp_path: Path) -> None:
    picture = Source("a/x.jpg", path=Path("a/x.jpg"))
    assert Targets(tmp_path / "new" / "out.png", [picture]).of(picture) == tmp_path / "new" / "out.png"
    assert Targets(tmp_path, [picture]).of(picture) == tmp_path / "x.jpg"
    assert Targets(tmp_path / "marked", [picture]).of(picture) == tmp_path / "marked" / "x.jpg"
    assert (tmp_path / "new").is_dir()
    assert (tmp_path / "marked").is_dir()


def test_no_existing_picture_is_overwritten(tmp_path: Path) -> None:
    pictures = [Source(name, path=tmp_path / name) for name in ("x.jpg", "y.jpg")]
    for out, sources in ((tmp_path, pictures), (tmp_path / "x.jpg", pictures[:1])):
        with pytest.raises(InputError, match="覆盖"):
            Targets(out, sources)


def test_an_unusable_output_folder_is_reported_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match="taken"):
        Targets(tmp_path / "taken", [Source("-", data=b"x")])


def test_an_unsupported_output_format_is_reported_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"out\.what"):
        Targets(tmp_path / "out.what", [Source("-", data=b"x")])


def test_an_undrawable_picture_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x"):
        draw(Source("x", data=b"no picture"), RESULT, tmp_path / "out.png")
    png, text = io.BytesIO(), PngInfo()
    text.add_text("Comment", "x" * 2_000_000, zip=True)  # more than Pillow decompresses
    Image.new("RGB", (200, 120)).save(png, "PNG", pnginfo=text)
    with pytest.raises(InputError, match="x"):
        draw(Source("x", data=png.getvalue()), RESULT, tmp_path / "out.png")
    Image.new("RGB", (200, 120)).save(tmp_path / "in.png")
    with pytest.raises(InputError, match=r"none/out\.png"):
        draw(source(tmp_path / "in.png"), RESULT, tmp_path / "none" / "out.png")
