"""Codes of data and the files that it comes from: E5xx."""

from __future__ import annotations

from dgmppl.diagnostics.code import Code

CODES: dict[str, Code] = {
    "E503": Code(
        "data file that cannot be read",
        "The file or folder is not there, is not of the format that its name says, is damaged, or holds "
        "something other than numbers.",
        "A file is read as numbers only: arrays of Python objects would let the file run code. A relative path "
        "starts from the folder that the spec lies in. `numpy.savez(path, name=array)` writes a .npz file.",
        "",
        "",
    ),
    "E504": Code(
        "field that is not in the data",
        "The .npz file has no array of the name after the dot, the table no such column, or the folder no such file.",
        "A field x of a .npz file is its array x, or its arrays x_train, x_validation and x_test. Columns are called "
        "as the first row of a .csv says.",
        "",
        "",
    ),
    "E505": Code(
        "data of another shape",
        "A row of the data has not the shape that the variable declares, two variables have not "
        "the same rows, or a split has no rows.",
        "The first axis of an array counts rows, the others are the variable's shape. Variables "
        "observed together are taken row by row, so they need the same number of rows.",
        "observed x : integer(0..16)[8, 8] from digits.image",
        "observed x : integer(0..16)[64] from digits.image",
    ),
    "E506": Code(
        "value outside the declared support",
        "Some value of the data is not among those that the variable's type allows, or its factor gives it density 0 "
        "whatever its parameters are; the first is named by row and column, both counted from 0.",
        "Every objective takes the declared support for granted: a density of another support "
        "would be fitted to numbers that mean something else. Declare what the data holds, or "
        "transform it: threshold(field, t) is 1 where the value is t or more, rescale(field, "
        "low, high) maps the field's range, standardize(field) centres.",
        "observed x : binary[64] from digits.image",
        "observed x : binary[64] from threshold(digits.image, 8)",
    ),
    "E508": Code(
        "data transform that does not apply",
        "The transform around a field cannot be done on this data.",
        "rescale needs values that are not all the same where the data set declares no range.",
        "",
        "",
    ),
    "E509": Code(
        "observed variable without data",
        "The spec does not say where the values of an observed variable come from.",
        "A spec without data can be checked, explained and compiled; to be fitted or evaluated, "
        "each observed variable needs a `from`.",
        "observed x : integer(0..16)[64]",
        "observed x : integer(0..16)[64] from digits.image",
    ),
    "E515": Code(
        "library that is not installed",
        "The data comes through a library that is an optional part of this package.",
        "Hugging Face's `datasets` and torchvision are large, and few specs need them: pip install "
        "'dgmppl[huggingface]', pip install 'dgmppl[torchvision]'.",
        "",
        "",
    ),
    "E516": Code(
        "cell that is no number",
        "A column of a table holds text where numbers are needed, or text and numbers in turn.",
        "A column that holds nothing but text is read where a categorical(K) is declared: its different texts, "
        "sorted, are the classes 0, 1, and so on. A vector of several columns takes numbers only.",
        "",
        "",
    ),
    "E517": Code(
        "image that cannot be used",
        "A file of a folder of images is damaged, is no image, has another size than the others or more pixels than "
        "is sane; or the folder holds none, or no subfolder says what is on it.",
        "All images of a data set become rows of one array, so they have one size. Labels are the names of the "
        "subfolders, sorted.",
        "",
        "",
    ),
    "E518": Code(
        "split that does not suit the data",
        "The rows that `split` asks for are more than there are, or the data says itself which rows are for what.",
        "A file may bring its own training, validation and test rows, and mixing them would spoil the test. Where it "
        "brings only some, the rule divides its training rows for the rest.",
        "",
        "",
    ),
    "E519": Code(
        "data that cannot be streamed",
        "`stream = true` asks that rows stay in their files until they are used, and these cannot.",
        "A .npy whose rows lie one after another, IDX that is not compressed, and .parquet with row groups of up to "
        "64 MiB can be streamed, and so can tables as text. Other data is held in memory.",
        "",
        "",
    ),
    "E520": Code(
        "data set that a library does not give",
        "Hugging Face's `datasets` or torchvision could not find, download or read the data set.",
        "The reason is the library's own. A data set that needs a script of its own is refused: nothing that comes "
        "with data is run.",
        "",
        "",
    ),
    "W521": Code(
        "values that become the same in single precision",
        "Values that differ in the data are the same once they are rounded to single precision, in which models are "
        "fitted and data is held.",
        "Single precision has 24 binary digits: beside 1.7 billion, its next number is 128 away. What is far from "
        "zero, for its spread, is centred first: standardize(field) is computed in double precision.",
        'observed t : real from "seconds_since_1970.npy"',
        'observed t : real from standardize("seconds_since_1970.npy")',
    ),
    "W522": Code(
        "text that is taken for a missing value",
        "Cells such as NA or null were taken for missing values, and fewer classes are left than are declared.",
        "NA is Namibia, and None an answer. A cell in quotes is a text; so is every cell that `missing` does not name, "
        "which takes the place of what usually stands for a missing value.",
        'partial c : categorical(3) from "x.csv".country',
        'partial c : categorical(3) from "x.csv".country[missing = ""]',
    ),
    "W523": Code(
        "a split without a class",
        "A class that the data has is in no training row, or so seldom in another split that chance would not do it.",
        "Rows that come sorted by class and are split in their order have some classes in one split alone. What is no "
        "training row is not learned, and figures of such validation and test rows say little: shuffle them first.",
        'observed y : categorical(3) from "iris.csv".species',
        "train { split = shuffled(0.6, 0.2, 0.2) }",
    ),
    "W524": Code(
        "values far from where a model begins",
        "Values of a variable that a flow or an expression gives, or that a formula multiplies by what is learned, lie "
        "far from 0, or spread by far more or less than 1.",
        "What a network or `param` gives a distribution, and what a network reads, is counted in units of the data; an "
        "expression or a flow takes it as it is, and what is learned about it begins at about 0 and 1. A step of a fit "
        "moves a number by about its learning rate: from there it does not come to incomes in euros, or only after "
        "many epochs, nor does it find a slope by years as finely as they need it.",
        'observed x : real[2] from "people.csv"[income, rent]   # x = f(u)',
        'observed x : real[2] from standardize("people.csv"[income, rent])',
    ),
    "W525": Code(
        "classes that two variables number differently",
        "Two variables pick elements of one parameter or latent, and a number stands for different texts in them.",
        "The texts of a column are numbered in alphabetical order. A player who never played away is missing there, "
        "and all that follow have other numbers: `skill[home]` and `skill[away]` are of different players. "
        "Columns that are read together are numbered together.",
        'observed home : categorical(20) from "games.csv".home\n'
        'observed away : categorical(20) from "games.csv".away   # skill[home] - skill[away]',
        'observed side[j in 0..1] : categorical(20) from "games.csv"[home, away]   # skill[side[0]] - skill[side[1]]',
    ),
    "W526": Code(
        "more classes than texts",
        "A variable is declared with more classes than its column has texts.",
        "Texts are numbered in alphabetical order; a class beyond them has no name and no row. The model gives it a "
        "probability all the same, samples of it are told by its number, and other rows cannot have it. A categorical "
        "column of a DataFrame or `.parquet` names its categories, also those that no row has.",
        'observed job : categorical(5) from "people.csv".job   # clerk, nurse, smith, teacher',
        'observed job : categorical(4) from "people.csv".job',
    ),
}
