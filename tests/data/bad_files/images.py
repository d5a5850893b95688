"""Images that cannot be loaded: IDX files, folders of pictures."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.bad_files.cases import case
from tests.data.support import write_png_of_16_bits


def idx(*sizes: int) -> bytes:
    return struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes) + bytes(int(np.prod(sizes)))


@case
def idx_of_another_kind(folder: Path) -> str:
    (folder / "x-idx3-ubyte").write_bytes(b"nothing of the kind")
    return 'x : real[2, 2] from "x-idx3-ubyte"'


@case
def idx_cut_off(folder: Path) -> str:
    (folder / "x-idx3-ubyte").write_bytes(idx(10, 2, 2)[:-1])
    return 'x : real[2, 2] from "x-idx3-ubyte"'


@case
def idx_compressed_and_cut_off(folder: Path) -> str:
    (folder / "x-idx3-ubyte.gz").write_bytes(gzip.compress(np.random.default_rng(0).bytes(900), mtime=0)[:-100])
    (folder / "x-idx3-ubyte.gz").write_bytes(gzip.compress(idx(10, 2, 2), mtime=0)[:-12])
    return 'x : real[2, 2] from "x-idx3-ubyte.gz"'


@case
def idx_with_a_wrong_checksum(folder: Path) -> str:
    content = bytearray(gzip.compress(idx(10, 2, 2), mtime=0))
    content[-8] ^= 1
    (folder / "x-idx3-ubyte.gz").write_bytes(bytes(content))
    return 'x : real[2, 2] from "x-idx3-ubyte.gz"'


@case
def images_of_a_split_in_two_folders(folder: Path) -> str:
    for split in ("train", "val", "validation"):
        picture(folder / "photos" / split / "a.png", 2, 2)
    return 'x : real[2, 2] from "photos".image'


@case
def images_beside_the_splits(folder: Path) -> str:
    for split in ("train", "test", "extra"):
        picture(folder / "photos" / split / "a.png", 2, 2)
    return 'x : real[2, 2] from "photos".image'


@case
def idx_that_announces_more(folder: Path) -> str:
    (folder / "x-idx3-ubyte.gz").write_bytes(gzip.compress(idx(10, 2, 2)[:-7], mtime=0))
    return 'x : real[2, 2] from "x-idx3-ubyte.gz"'


@case
def mnist_without_labels(folder: Path) -> str:
    (folder / "mnist").mkdir()
    for prefix in ("train", "t10k"):
        (folder / "mnist" / f"{prefix}-images-idx3-ubyte").write_bytes(idx(10, 2, 2))
    return 'y : categorical(10) from "mnist".label'


def picture(path: Path, *size: int, grey: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, grey, np.uint8)).save(path)


@case
def folder_not_there(folder: Path) -> str:
    return 'x : real[2, 2] from "photos".image'


@case
def folder_is_a_file(folder: Path) -> str:
    (folder / "photos").write_text("")
    return 'x : real[2, 2] from "photos".image'


@case
def folder_without_images(folder: Path) -> str:
    (folder / "photos").mkdir()
    (folder / "photos" / "a.txt").write_text("")
    return 'x : real[2, 2] from "photos".image'


@case
def folder_with_an_empty_split(folder: Path) -> str:
    picture(folder / "photos" / "train" / "a.png", 2, 2)
    (folder / "photos" / "test").mkdir()
    return 'x : real[2, 2] from "photos".image'


@case
def folders_without_one_for_training(folder: Path) -> str:
    for split in ("valid", "testing"):
        picture(folder / "photos" / split / "cat" / "a.png", 2, 2)
    return 'y : binary from "photos".label'


@case
def folders_of_splits_in_another(folder: Path) -> str:
    for split in ("train", "valid"):
        picture(folder / "photos" / "export" / split / "cat" / "a.png", 2, 2)
    return 'y : binary from "photos".label'


@case
def folders_of_splits_in_classes(folder: Path) -> str:
    for name in ("cat", "dog"):
        for split in ("train", "valid"):
            picture(folder / "photos" / name / split / "a.png", 2, 2)
    return 'y : binary from "photos".label'


@case
def image_beside_the_splits(folder: Path) -> str:
    for name in ("train/a.png", "valid/a.png", "a.png"):
        picture(folder / "photos" / name, 2, 2)
    return 'x : real[2, 2] from "photos".image'


@case
def image_of_16_bits_in_colour(folder: Path) -> str:
    write_png_of_16_bits(folder / "photos" / "a.png", np.full((2, 2, 3), 1000), 2)
    return 'x : real[2, 2, 3] from "photos".image'


@case
def images_of_two_sizes(folder: Path) -> str:
    picture(folder / "photos" / "cat" / "a.png", 2, 3)
    picture(folder / "photos" / "cat" / "b.png", 2, 2)
    return 'x : real[2, 3] from "photos".image'


@case
def images_of_another_shape(folder: Path) -> str:
    for name in "abcde":
        picture(folder / "photos" / f"{name}.png", 2, 3, 3)
    return 'x : real[3, 2] from "photos".image'


@case
def image_cut_off(folder: Path) -> str:
    for name in "abcde":
        picture(folder / "photos" / f"{name}.png", 50, 50)
    (folder / "photos" / "c.png").write_bytes((folder / "photos" / "c.png").read_bytes()[:70])
    return 'x : real[50, 50] from "photos".image'


@case
def image_that_is_none(folder: Path) -> str:
    picture(folder / "photos" / "a.png", 2, 2)
    (folder / "photos" / "b.png").write_text("<html>404</html>")
    return 'x : real[2, 2] from "photos".image'


@case
def image_that_fills_the_memory(folder: Path) -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    (folder / "photos").mkdir()
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    (folder / "photos" / "a.png").write_bytes(data)
    return 'x : real[2, 2] from "photos".image'


@case
def image_without_label(folder: Path) -> str:
    picture(folder / "photos" / "cat" / "a.png", 2, 2)
    picture(folder / "photos" / "b.png", 2, 2)
    return 'y : categorical(2) from "photos".label'


@case
def image_labels_as_numbers(folder: Path) -> str:
    for name in "abc":
        picture(folder / "photos" / name / "1.png", 2, 2)
    return 'y : categorical(2) from "photos".label'


@case
def image_value_outside(folder: Path) -> str:
    for i, name in enumerate("abcde"):
        picture(folder / "photos" / f"{name}.png", 2, 2, grey=i)
    return 'x : integer(0..3)[2, 2] from "photos".image'
