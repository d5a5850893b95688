"""Codes of fits, run folders, and what is made of them: E6xx and W6xx."""

from __future__ import annotations

from dgmppl.diagnostics.code import Code

CODES: dict[str, Code] = {
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
        "as a whole; a folder that holds anything else, a file of notes beside the run for instance, never is.",
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
    "E608": Code(
        "Python class that is no network",
        "A class that the spec names cannot be imported, is no torch.nn.Module, or does not keep to the protocol.",
        "Class(inputs, outputs, **options) takes shapes with their channels last, and the options in brackets by name; "
        "forward(x) maps (N, *inputs) to (N, *outputs). One that reads positions is given a context too, of the size "
        "that its constructor was told as `context`.",
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
        "A device is asked for that this machine has not, or by a name that is none: devices are auto, cpu and cuda.",
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
    "W620": Code(
        "damaged checkpoint",
        "The newest checkpoint of a run is not whole, so it is resumed from the one before it.",
        "It comes to the same end: what was done since is done again.",
        "",
        "",
    ),
    "E621": Code(
        "checkpoints that cannot be read",
        "None of the run's checkpoints is whole; there are one or two.",
        "A checkpoint is a safetensors file with a checksum. A new one is written beside the old one and takes its "
        "place when it is on the disk, so that a run that is killed keeps a whole one.",
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
    "E622": Code(
        "process that is gone",
        "One of the processes that share a fit has ended, so that the others cannot continue.",
        "What that process printed says why, unless it was killed. `dgmppl train --resume RUN` resumes the run from "
        "its last checkpoint.",
        "",
        "",
    ),
    "W622": Code(
        "run that has not finished",
        "The run was interrupted, killed, failed, or still runs; what is shown is about its best weights so far.",
        "",
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
    "W623": Code(
        "run without a checkpoint",
        "The run was stopped before its first checkpoint, or its checkpoints were deleted, so it begins again.",
        "It comes to the same end.",
        "",
        "",
    ),
    "E624": Code(
        "run that has changed",
        "The run's spec, settings or checkpoint are not those that it was begun with.",
        "A run is resumed to the same bits as one that was never stopped; with another spec there are no such bits.",
        "",
        "",
    ),
    "E625": Code(
        "setting that cannot change",
        "A run that is resumed may only be lengthened: train.epochs and train.patience.",
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
    "W627": Code(
        "part of a run that could not be made",
        "A picture, the page or the events of a run could not be written. The fit, its weights and its figures are "
        "not touched by that.",
        "Where it can be had again, the message has the command for it.",
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
        "picture or page of an unknown kind",
        "The kind of the output follows from the end of the file's name.",
        "A comparison is written to .html, as a page, or to .png, as a picture of its curves; a histogram to .svg or "
        ".png.",
        "",
        "",
    ),
    "E660": Code(
        "command that the model has no answer to",
        "The run is asked for something that its model does not have, such as the latents of a model without any.",
        "`dgmppl explain` on the spec says what is derived from it.",
        "",
        "",
    ),
    "E670": Code(
        "data that the model cannot code",
        "`compress` codes rows by the probabilities that the model gives them. Real numbers have densities, an "
        "energy is unnormalised, and what a network makes of noise has none.",
        "Model whole numbers or classes element by element: autoregressively, through a flow of whole numbers, or "
        "given latents with a q.",
        "",
        "",
    ),
    "E671": Code(
        "file that is no file of compressed rows, or a damaged one",
        "It does not begin as those do, it ends too early, or its checksums are not those of its bytes.",
        "Take it back from a copy. Nothing was written.",
        "",
        "",
    ),
    "E672": Code(
        "compressed rows of another model",
        "A file of compressed rows has a checksum of the spec and of the weights by which it was coded; no others "
        "decode it.",
        "Decompress it with the run that compressed it.",
        "",
        "",
    ),
    "E673": Code(
        "compressed rows that cannot be decoded on this machine",
        "Coding needs the same probabilities, to the last of 24 bits, on both sides. Networks are computed in double "
        "precision by one thread, which makes them so on machines of one kind; the file has a checksum of the "
        "probabilities, and these are others.",
        "Use the versions of torch and dgmppl, and a processor of the kind, that the file was written with.",
        "",
        "",
    ),
}
