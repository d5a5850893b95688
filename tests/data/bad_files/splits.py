"""Libraries that are not there, splits and transforms that data have no room for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.data.bad_files.arrays import npz
from tests.data.bad_files.cases import case, rule


@case
def hugging_face_not_installed(folder: Path) -> tuple[Any, ...]:
    return 'x : real from "hf:glue".x', {"without": "datasets"}


@case
def hugging_face_folder_not_there(folder: Path) -> str:
    return 'x : real from "hf:./saved".x'


@case
def torchvision_not_installed(folder: Path) -> tuple[Any, ...]:
    return 'x : integer(0..255)[28, 28] from "torchvision:MNIST".image', {"without": "torchvision"}


@case
def split_of_too_many_rows(folder: Path) -> tuple[Any, ...]:
    npz(folder, x=np.zeros(100))
    return 'x : real from "mine.npz".x', rule("ordered", 80, 20, 20)


@case
def split_into_shares_of_nothing(folder: Path) -> tuple[Any, ...]:
    npz(folder, x=np.zeros(10))
    return 'x : real from "mine.npz".x', rule("ordered", 0.9, 0.05, 0.05)


@case
def split_of_data_that_is_split(folder: Path) -> tuple[Any, ...]:
    npz(folder, x_train=np.zeros(10), x_validation=np.zeros(3), x_test=np.zeros(3))
    return 'x : real from "mine.npz".x', rule("shuffled", 0.8, 0.1, 0.1)


@case
def split_of_other_test_rows(folder: Path) -> tuple[Any, ...]:
    npz(folder, x_train=np.zeros(100), x_test=np.zeros(30))
    return 'x : real from "mine.npz".x', rule("ordered", 80, 20, 20)


@case
def rescale_of_one_value(folder: Path) -> str:
    npz(folder, x=np.ones(10))
    return 'x : interval(-1, 1) from rescale("mine.npz".x, -1, 1)'


@case
def labels_for_more_rows_than_there_are(folder: Path) -> str:
    npz(folder, y=np.arange(100) % 3)
    return 'partial y : categorical(3) from labelled("mine.npz".y, 61)'


@case
def more_than_all_is_missing(folder: Path) -> str:
    return "partial x : real[13] elementwise from standardize(missing(wine.data, 1.2))"


@case
def npz_element_of_another_kind(folder: Path) -> str:
    npz(folder, x=np.array([[0, np.nan], [1, 1], [np.nan, 0.5], [0, 1], [1, 0]]))
    return 'partial x : binary[2] elementwise from "mine.npz".x'


@case
def labels_for_fewer_rows_than_classes(folder: Path) -> str:
    return "partial y : categorical(10) from labelled(digits.label, 9)"
