"""Codes of the command line and of sweeps: E7xx."""

from __future__ import annotations

from dgmppl.diagnostics.code import Code

CODES: dict[str, Code] = {
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
        "Answers are written to .csv or .parquet, as a table, or to .npz, as arrays by variable; samples to .png too, "
        "as a picture, or to a name without an end, as a folder of images.",
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
    "E707": Code(
        "sampling option without effect",
        "`--steps` and `--noise` say how to go back along a chain of latents or a flow, `--guidance` how far to lead "
        "away from what these are without a condition, and the model has none of these.",
        "The first two are for latents that q makes by linear-Gaussian steps of known numbers, as in a diffusion "
        "model, where any member follows from the start, so that sampling may leave some out; and for flows that are "
        "fitted by flow_matching. Guidance is for either where it reads a feature that a fit drops in some rows: "
        "let seen = drop(y, 0.1).",
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
    "E713": Code(
        "flags that do not go together",
        "What the flags of a command ask for contradicts itself, or is incomplete.",
        "",
        "",
        "",
    ),
    "E714": Code(
        "sequences that cannot be continued",
        "What is known of a sequence are its first members, and something of the model does not follow from what is "
        "before it: a chain that goes backward, a law of all members at once, a q that reads what comes later.",
        "`dgmppl sample RUN --given x=FILE` takes the first members of each row and draws the others by p, one after "
        "another. Latents have their posterior given what is known, which is that of a sequence that ends there.",
        "",
        "",
    ),
    "E715": Code(
        "what is given does not fit",
        "--given names no variable of the data, a file without its array, or values that the variable cannot have; or "
        "more of it is needed.",
        "`--given x=walks.npz` reads an array [rows, members, ...] of the first members of each row, as many as the "
        "variable has or fewer; nan stands behind the last that is known of a row. Other data of a row, such as "
        "controls along the index, are given whole.",
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
}
