"""Codes of what goes wrong around a spec: E5xx data, E6xx training and run folders, E7xx the command line."""

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
        "Some value of the data is not among those that the variable's type allows; the first is "
        "named by row and column, both counted from 0.",
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
        "64 MiB can be streamed. Other data is held in memory.",
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
    "E601": Code(
        "model that fails while it runs",
        "The compiled model raised an error; the place is the line of the spec that its source came from.",
        "`dgmppl compile` prints the source that ran, with the line of the spec beside each line.",
        "",
        "",
    ),
    "E602": Code(
        "not a run folder",
        "The folder is not one that `dgmppl train` wrote.",
        "A run folder has a run.json, a spec.dgm and a weights.safetensors.",
        "",
        "",
    ),
    "E603": Code(
        "damaged run.json",
        "The run's record cannot be read, or was written in a format that this version does not know.",
        "run.json says how the run was made: overrides, seed, settings, versions and figures.",
        "",
        "",
    ),
    "E604": Code(
        "unreadable weights",
        "The run's weights are not a safetensors file.",
        "Weights are read as safetensors only, a format of plain numbers. Pickled weights can "
        "run code and are refused.",
        "",
        "",
    ),
    "E605": Code(
        "weights that do not fit",
        "The saved weights have other names, shapes or types than the model that the run's spec compiles to.",
        "A run is opened by compiling its spec.dgm again and filling in its weights. If either "
        "was edited since, they no longer belong together.",
        "",
        "",
    ),
    "E606": Code(
        "run folder that is taken",
        "The folder to write a run to holds something already.",
        "Nothing is overwritten unasked. With --overwrite a folder that holds a run is replaced "
        "as a whole; a folder that holds anything else never is.",
        "",
        "",
    ),
    "E607": Code(
        "place that cannot be written to",
        "A folder or file could not be written.",
        "",
        "",
        "",
    ),
    "E610": Code(
        "loss that is not finite",
        "A term of the objective became infinite or not a number while fitting, so that there "
        "was no gradient to follow.",
        "Usually a step was too large: lower the learning rate, `train { optimizer = "
        "adamax(1e-4) }`, or bound the gradient, `train { clip = 1 }`. A term that is -inf from "
        "the first epoch has data to which the model gives probability 0.",
        "",
        "",
    ),
    "E611": Code(
        "weights that are not finite",
        "A gradient became infinite or not a number although the loss was finite, and the step "
        "after it spoiled the weights.",
        "See E610: a smaller learning rate or a bound on the gradient helps.",
        "",
        "",
    ),
    "E612": Code(
        "device that is not there",
        "--device asks for a device that this machine has not.",
        "",
        "",
        "",
    ),
    "E613": Code(
        "validation that is never finite",
        "The figure that chooses the best weights was infinite or not a number after every epoch.",
        "One validation row with probability 0 is enough to make the mean -inf.",
        "",
        "",
    ),
    "E614": Code(
        "a model without anything to fit",
        "The objective depends on no network and no `param`.",
        "Such a model can be compiled and sampled; fitting it would change nothing.",
        "",
        "",
    ),
    "E620": Code(
        "precision that the device lacks",
        "Half precision of the kind that is asked for needs another device.",
        "16 needs loss scaling, which torch has for CUDA; bf16 has the range of single precision and works anywhere.",
        "",
        "",
    ),
    "E621": Code(
        "checkpoints that cannot be read",
        "Neither of the run's two checkpoints is whole.",
        "A checkpoint is a safetensors file with a checksum. A new one is written beside the old one and takes its "
        "place when it is on the disk, so that a run that is killed keeps a whole one.",
        "",
        "",
    ),
    "E622": Code(
        "process that is gone",
        "One of the processes that share a fit has ended, so that the others cannot go on.",
        "What that process printed says why, unless it was killed. `dgmppl train --resume RUN` goes on from the last "
        "checkpoint.",
        "",
        "",
    ),
    "E623": Code(
        "run that is being worked on",
        "Another process has the run folder: it trains the run, or writes to it.",
        "It holds the file `lock` in the folder until it ends, however it ends.",
        "",
        "",
    ),
    "E624": Code(
        "run that has changed",
        "The run's spec, settings or checkpoint are not those that it was begun with.",
        "A run goes on to the same bits as one that was never stopped; with another spec there are no such bits.",
        "",
        "",
    ),
    "E625": Code(
        "setting that cannot change",
        "A run that is gone on with may only be lengthened: train.epochs and train.patience.",
        "Any other setting would make it a run that nobody could have begun. A rate that decays does so over all "
        "epochs, so their number cannot change either.",
        "",
        "",
    ),
    "E626": Code(
        "data that has changed",
        "The data has other values or another split than when the run was begun.",
        "run.json has a digest of all values in their split.",
        "",
        "",
    ),
    "E628": Code(
        "missing compiler",
        "Networks for the CPU are compiled with a C++ compiler, and there is none.",
        "",
        "",
        "",
    ),
    "W620": Code(
        "damaged checkpoint",
        "The newest checkpoint of a run is not whole, so it goes on from the one before it.",
        "It comes to the same end: what was done since is done again.",
        "",
        "",
    ),
    "E650": Code(
        "bound that the structure does not allow",
        "--importance asks for an importance-weighted bound, and the model's objective has none.",
        "The bound averages p / q over several draws of the latents, so it needs latents that are drawn from a q. "
        "A flow or an autoregressive model gives the exact likelihood; an energy or a game gives none.",
        "",
        "",
    ),
    "E651": Code(
        "damaged metrics.jsonl",
        "A line of the run's metrics is not an epoch as dgmppl train writes it.",
        "Each line is a JSON object with the epoch's number, losses, terms and validation figures. A last line that "
        "was cut off when a run was killed is left out without a word.",
        "",
        "",
    ),
    "E652": Code(
        "comparison of an unknown kind",
        "The kind of the output follows from the end of the file's name.",
        "A comparison is written to .html, as a page, or to .png, as a picture of its curves.",
        "",
        "",
    ),
    "W622": Code(
        "run that has not finished",
        "The run was interrupted, killed, failed, or goes on; what is shown is about its best weights so far.",
        "",
        "",
        "",
    ),
    "W623": Code(
        "run without a checkpoint",
        "The run was stopped before its first checkpoint, or its checkpoints were deleted, so it begins again.",
        "It comes to the same end.",
        "",
        "",
    ),
    "W621": Code(
        "data that is not the run's",
        "The data has other values or another split than when the run was begun, and is evaluated as it is now.",
        "run.json has a digest of all values in their split, and the figures of the data that the run was fitted to.",
        "",
        "",
    ),
    "E701": Code(
        "spec that cannot be read",
        "The path on the command line is no readable text file.",
        "",
        "",
        "",
    ),
    "E702": Code(
        "unknown code",
        "No diagnostic has this code, or it is asked for in LaTeX, which is for specs.",
        "",
        "",
        "",
    ),
    "E703": Code(
        "samples of an unknown kind",
        "The kind of the output follows from the end of the file's name.",
        "Samples are written to .png, as a picture, or to .npz, as arrays by variable.",
        "",
        "",
    ),
    "E704": Code(
        "picture that cannot be drawn",
        "Graphviz, which draws the graph, does not work here or takes too long.",
        "pygraphviz brings an engine along; without it a `dot` on the path is used. `dgmppl graph spec.dgm "
        "-o out.dot` needs neither.",
        "",
        "",
    ),
    "E705": Code(
        "override that is none",
        "What follows --set is no setting or constant of the spec with a value.",
        "`--set train.epochs=5` changes a setting of the train block, `--set T=3` a constant of the spec.",
        "",
        "",
    ),
    "E706": Code(
        "wrong or missing condition",
        "A model that is conditional on observed variables needs a value for each of them to be sampled.",
        "An observed variable that no factor models is a condition. `dgmppl sample RUN --set "
        "y=3` gives its value; values of a vector are separated by commas.",
        "",
        "",
    ),
    "E710": Code(
        "picture of an unknown kind",
        "The kind of the picture follows from the end of the file's name.",
        "A graph is drawn to .svg, .png, .pdf, or written as .dot for other programs.",
        "",
        "",
    ),
    "E711": Code(
        "picture that cannot be written",
        "The file of the picture could not be written.",
        "",
        "",
        "",
    ),
    "E712": Code(
        "graph that cannot be drawn",
        "Graphviz, which draws the graph, is missing or failed.",
        "The pygraphviz package brings the engine along; a .dot file needs none.",
        "",
        "",
    ),
    "E720": Code(
        "range that cannot be read",
        "What follows --over is no name with its values.",
        "`--over train.clip=0.1..10` searches the numbers between, `--over 'train.lr=log(1e-4..1e-2)'` by their "
        "logarithm; whole ends search whole numbers, `--over H=16..64`; `--over 'train.batch=32 | 64'` searches "
        "texts as --set takes them.",
        "",
        "",
    ),
    "E721": Code(
        "range with nothing to search",
        "A range holds one value, the same value twice, or none.",
        "A single value is set with --set.",
        "",
        "",
    ),
    "E722": Code(
        "logarithm of a range that is not positive",
        "log(low..high) is searched by the logarithm of its numbers, so all of them are above 0.",
        "",
        "",
        "",
    ),
    "E723": Code(
        "name that is searched and set",
        "A name stands in two --over, or in --over and in --set.",
        "",
        "",
        "",
    ),
    "E724": Code(
        "values that the spec does not take",
        "What --over names is no setting or constant of the spec, or the spec is wrong with one of its values.",
        "Every range is checked at both ends, and with each of its choices, before anything runs.",
        "",
        "",
    ),
    "E725": Code(
        "sweep that cannot tell better from worse",
        "The model has no figure that chooses its best epoch, so none that compares its trials.",
        "A game has no likelihood. `--by recall` compares the samples of each trial with the validation rows; "
        "`dgmppl evaluate` gives the figures of a run.",
        "",
        "",
    ),
    "E726": Code(
        "figure that a run does not have",
        "--by names a figure that runs of this spec do not have on the validation rows, or that is not finite there.",
        "",
        "",
        "",
    ),
    "E727": Code(
        "folder that is no sweep",
        "--out names a file, or a folder that holds other things.",
        "A sweep writes into a new or empty folder, or goes on in its own.",
        "",
        "",
    ),
    "E728": Code(
        "another sweep",
        "The folder, or the study in the database, belongs to a sweep of another spec, other ranges or other options.",
        "Trials of different searches do not compare. The number of trials and the device may change.",
        "",
        "",
    ),
    "E729": Code(
        "sweep that cannot be read",
        "sweep.json or journal.log of a sweep's folder is damaged, or of a newer version.",
        "",
        "",
        "",
    ),
    "E730": Code(
        "storage that cannot be used",
        "What follows --storage is no database, or it cannot be reached.",
        "SQLite, PostgreSQL, MySQL and MariaDB keep a study, the latter three with their driver installed. Without "
        "--storage a file in the sweep's folder does, on a shared file system for several machines too.",
        "",
        "",
    ),
    "E713": Code(
        "flags that do not go together",
        "What the flags of a command ask for contradicts itself, or is incomplete.",
        "",
        "",
        "",
    ),
}
