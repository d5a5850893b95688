"""What estimators of scikit-learn have in common whose model is a spec: it is fitted to X, and to y if it has one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

import dgmppl
from dgmppl.apply.fitted import FittedRun
from dgmppl.catalogue.training import SETTINGS
from dgmppl.data.fields import element_labels
from dgmppl.diagnostics import SpecError
from dgmppl.diagnostics.render import render
from dgmppl.emit.inference import inferred_of
from dgmppl.presumed import TARGET, statements_of, supposed, text_of
from dgmppl.syntax import tree
from dgmppl.words import counted

Array = NDArray[Any]
S = TypeVar("S", bound="SpecEstimator")
_KEPT = ("spec.dgm", "run.json", "weights.safetensors", "metrics.jsonl")
"""What of a run is needed to use it, and is pickled: its data are not."""


def _has_latents(self: SpecEstimator) -> bool:
    return any(isinstance(s, tree.Variable) and s.role == "latent" for s in statements_of(text_of(self.spec)))


class SpecEstimator(TransformerMixin, BaseEstimator):
    """What the estimators of `dgmppl.sklearn` have in common: a spec, fitted to X, and to y if it has a variable `y`.

    All rows are fitted to, unless the spec or the settings have a `split`, whose validation rows choose the best epoch.

    Args:
        spec: a path, or the text itself.
        settings: of `train { ... }` and constants by name, as `dgmppl.train` takes them.
        random_state: of the fit, of draws, and of bounds that are estimated.
        device: "cpu", "cuda" or "auto".
        out: the folder of the run; None: a temporary one. A run that is there is replaced.
        callbacks: those of `dgmppl.train`.
        verbose: show progress.

    Attributes:
        run_: the run, as `dgmppl.load` gives it.
        n_features_in_, feature_names_in_: of X.
        n_iter_: epochs of the fit.
        classes_: the values of a `y` that is a class, in order.
    """

    def __init__(
        self,
        spec: str | Path,
        *,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
        device: str = "cpu",
        out: str | Path | None = None,
        callbacks: Any = (),
        verbose: bool = False,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.random_state = random_state
        self.device = device
        self.out = out
        self.callbacks = callbacks
        self.verbose = verbose

    # --- the fit -----------------------------------------------------------------------------------

    def fit(self: S, X: Any, y: Any = None) -> S:
        """Fits the spec to rows.

        Raises:
            ValueError: they are not as the spec's types have them.
            SpecError: the spec is wrong, or the fit fails.
        """
        X = self._checked_rows(X, reset=True)
        self._flat = X.ndim == 2
        data = self._as_data(X, self._encoded(X, y, reset=True))
        settings = dict(self.settings or {})
        if "split" not in settings and not self._sets("split"):
            settings["split"] = "whole"
        if "seed" not in settings:
            settings["seed"] = int(check_random_state(self.random_state).randint(2**31 - 1))
        try:
            self.run_ = dgmppl.train(
                self.spec,
                data=data,
                out=self.out,
                callbacks=self.callbacks,
                overwrite=True,
                device=self.device,
                progress=self.verbose,
                **settings,
            )
        except SpecError as error:
            raise _as_value_error(error) from error
        self.n_iter_ = int(self.run_.run.record["epochs"])
        return self

    def _checked_rows(self, X: Any, reset: bool) -> Any:
        """X as an array of numbers; as the DataFrame that it is, where the spec has several variables beside y."""
        if len(self._variables()) > 1:
            return self._checked_table(X, reset)
        return validate_data(
            self,
            X,
            dtype=np.float64,
            allow_nd=True,
            reset=reset,
            ensure_all_finite="allow-nan" if self._may_miss() else True,
            ensure_min_samples=2 if reset else 1,
        )

    def _checked_table(self, X: Any, reset: bool) -> Any:
        """X of a spec that reads several variables by name; an array has the columns of the fit, in their order."""
        if hasattr(X, "iloc"):
            return validate_data(self, X, skip_check_array=True, reset=reset)
        if reset or not hasattr(self, "feature_names_in_"):
            names = ", ".join(v.name for v in self._variables())
            raise ValueError(f"the spec reads several variables from X, {names}: X is a DataFrame, which names them")
        import pandas as pd

        values = validate_data(self, X, dtype=None, reset=False, ensure_all_finite=False)
        return pd.DataFrame(values, columns=self.feature_names_in_).infer_objects()

    def _encoded(self, X: Any, y: Any, reset: bool = False) -> Array | None:
        """y as the spec's variable has it, classes as their numbers; None where the spec has none."""
        statement = self._target()
        if statement is None:
            return None
        if y is None:
            name = type(self).__name__
            raise ValueError(f"this {name} estimator requires y to be passed, but the target y is None")
        check_consistent_length(X, y)
        partial = statement.role == "partial"
        if statement.type.support != "categorical":
            finite: Any = "allow-nan" if partial else True
            found = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", ensure_all_finite=finite)
            found = found if statement.type.shape else column_or_1d(found, warn=True)
        else:
            found = self._codes(column_or_1d(y, warn=True), partial, reset)
        if reset:
            self._extremes = np.nanmin(found, axis=0), np.nanmax(found, axis=0)
        return found

    def _codes(self, values: Array, partial: bool, reset: bool) -> Array:
        """The numbers of classes; NaN where a `partial` y is missing, which is NaN or None."""
        there = ~is_missing(values) if partial else np.ones(len(values), dtype=np.bool_)
        given = values[there]
        assert_all_finite(given, input_name="y")
        if reset:
            self.classes_ = np.unique(given)
        codes = np.searchsorted(self.classes_, given)
        if not ((codes < len(self.classes_)).all() and (self.classes_[codes] == given).all()):
            raise ValueError(f"y holds other values than those of the fit, {self.classes_.tolist()}")
        if there.all():
            return codes
        found = np.full(len(values), np.nan)
        found[there] = codes
        return found

    def _as_data(self, X: Any, y: Array | None) -> Any:
        """Rows as `data=` of `dgmppl.train` and the commands of a run take them."""
        if hasattr(X, "iloc"):
            return X if y is None else X.assign(**{TARGET: list(y)})
        (statement,) = self._variables()
        if X.ndim == 2:  # a table, whatever axes a row has in the spec
            shape = self._supposed()[1]
            if not statement.type.shape and statement.family is None:
                X = X[:, 0] if X.shape[1] == 1 else X
            elif len(shape) > 1 and np.prod(shape) == X.shape[1]:
                X = X.reshape(len(X), *shape)
        return {statement.name: X, **({} if y is None else {TARGET: y})}

    # --- what is known of the spec before a fit ------------------------------------------------------

    def _observed(self) -> list[tree.Variable]:
        found = statements_of(text_of(self.spec))
        return [s for s in found if isinstance(s, tree.Variable) and s.role != "latent"]

    def _target(self) -> tree.Variable | None:
        return next((s for s in self._observed() if s.name == TARGET), None)

    def _variables(self) -> list[tree.Variable]:
        """The variables of X."""
        return [s for s in self._observed() if s.name != TARGET]

    def _target_may_miss(self) -> bool:
        statement = self._target()
        return statement is not None and statement.role == "partial"

    def _may_miss(self) -> bool:
        return any(s.role == "partial" for s in self._variables())

    def _sets(self, name: str) -> bool:
        blocks = [s for s in statements_of(text_of(self.spec)) if isinstance(s, tree.Train)]
        return any(setting.name == name for block in blocks for setting in block.settings)

    def _supposed(self) -> tuple[str, tuple[int, ...]]:
        settings = (f"{'train.' * (n in SETTINGS)}{n}={v}" for n, v in (self.settings or {}).items())
        return supposed(text_of(self.spec), tuple(settings))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self._supposed()[0] != "exact"
        tags.target_tags.required = self._target() is not None
        tags.input_tags.allow_nan = self._may_miss()
        return tags

    # --- what it says of rows ------------------------------------------------------------------------

    def sample(self, n_samples: int = 1) -> Any:
        """Draws in the units of the data: X, or (X, y) where the spec has a variable `y`."""
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples is at least 1, not {n_samples}")
        found = self._asked(lambda: self.run_.sample(n_samples, seed=self._seed()).arrays)
        X = self._as_rows(found)
        if TARGET not in found:
            return X
        return X, self.classes_[found[TARGET].astype(int)] if hasattr(self, "classes_") else found[TARGET]

    def transform(self, X: Any, y: Any = None) -> Array:
        """The means of the latents given each row, (n_samples, numbers of all latents).

        A `y` of the spec may be left out where the latents do not depend on it, or where it is `partial`.
        """
        seed = self._seed()
        if y is not None or self._target() is None:
            return self._means(self._given(X, y), seed)
        check_is_fitted(self)
        X = self._checked_rows(X, reset=False)
        if self._target_may_miss():
            return self._means(self._as_data(X, np.full(len(X), np.nan)), seed)
        # Latents that are the same for two values of y do not depend on it.
        other = (np.broadcast_to(value, (len(X), *np.shape(value))) for value in self._extremes)
        first, second = (self._means(self._as_data(X, value), seed) for value in other)
        if not np.array_equal(first, second):
            raise ValueError(f"the latents of {self.run_.graph.name} depend on y as well: transform(X, y)")
        return first

    def fit_transform(self, X: Any, y: Any = None, **options: Any) -> Array:
        """`fit`, and `transform` of the same rows."""
        fitted = self.fit(X, y, **options)
        return fitted.transform(X, y)

    def _means(self, data: Any, seed: int) -> Array:
        found = self._asked(lambda: self.run_.encode(data, samples=1, seed=seed).arrays)
        return np.concatenate(
            [found[n].reshape(len(found[n]), -1).astype(np.float64) for n, _ in self._latents()], axis=1
        )

    def inverse_transform(self, X: Any) -> Any:
        """Rows in the units of the data for values of the latents, as `transform` gives them: the mean of p, of few
        values the most probable one."""
        import torch

        check_is_fitted(self)
        values = np.asarray(X, dtype=np.float32)
        latents = self._latents()
        size = sum(int(np.prod(shape)) for _, shape in latents)
        if values.ndim != 2 or values.shape[1] != size:
            raise ValueError(f"X has the shape {values.shape}, and the latents are {counted(size, 'number')}")
        run, known, at = self.run_, {}, 0
        for name, shape in latents:
            end = at + int(np.prod(shape))
            known[name] = torch.from_numpy(values[:, at:end].reshape(len(values), *shape)).to(run.model.like)
            at = end

        def complete() -> dict[str, Array]:
            with run.computing(self._seed()):
                return {name: v.cpu().numpy() for name, v in run.completion(len(values), known, mean=True).items()}

        found = self._asked(complete)
        return self._as_rows({name: field.invert(found[name], means=True) for name, field in run.fields.items()})

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """The names of the columns that `transform` gives: `z[0]`, `z[1]`, ..."""
        check_is_fitted(self)
        return np.array([n for name, shape in self._latents() for n in element_labels(name, shape)], dtype=object)

    def _predicted(self, X: Any) -> Mapping[str, Array]:
        """What the run says of `y` of rows."""
        check_is_fitted(self)
        data = self._as_data(self._checked_rows(X, reset=False), None)
        found: Mapping[str, Array] = self._asked(lambda: self.run_.predict(data, seed=self._seed()).arrays)
        return found

    def _latents(self) -> list[tuple[str, tuple[int, ...]]]:
        """The latents that follow from a row and that rows can be made from, with their shapes, in the order in which
        rows are made."""
        graph = self.run_.graph
        known = inferred_of(graph, self.run_.plan)
        names = [n for n in self.run_.completion.settable if n in known and not graph[n].shared]
        if not names:
            raise AttributeError(f"no latent of {graph.name} follows from a row")
        return [(n, graph[n].type.shape) for n in names]

    def _given(self, X: Any, y: Any) -> Any:
        check_is_fitted(self)
        X = self._checked_rows(X, reset=False)
        return self._as_data(X, self._encoded(X, y))

    def _as_rows(self, found: Mapping[str, Array]) -> Any:
        """X of arrays by variable: of one variable an array, of several a DataFrame."""
        names = [s.name for s in self._variables()]
        if len(names) == 1:
            values = found[names[0]]
            return values.reshape(len(values), -1) if self._flat else values
        import pandas as pd

        columns: dict[str, Array] = {}
        for name in names:
            flat = found[name].reshape(len(found[name]), -1)
            columns |= {label: flat[:, k] for k, label in enumerate(self.run_.fields[name].labels)}
        return pd.DataFrame(columns)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What a run says; what is wrong with its rows as a ValueError."""
        try:
            return ask()
        except SpecError as error:
            raise _as_value_error(error) from error

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    # --- copies ----------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """The state without the folder of the run, of which the files that are needed are in it."""
        state = dict(super().__getstate__())
        run: FittedRun | None = state.pop("run_", None)
        if run is not None:
            state["_files"] = {n: (run.path / n).read_bytes() for n in _KEPT if (run.path / n).exists()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        files = state.pop("_files", None)
        super().__setstate__(state)
        if files is not None:
            folder = tempfile.TemporaryDirectory(prefix="dgmppl-")
            for name in _KEPT:
                if name in files:
                    (Path(folder.name) / name).write_bytes(files[name])
            self.run_ = dgmppl.load(folder.name, self.device)
            self.run_.kept = folder


# Once scikit-learn has wrapped `transform` for `set_output`, which does not keep what is available.
for _method in ("transform", "fit_transform", "inverse_transform"):
    setattr(SpecEstimator, _method, available_if(_has_latents)(getattr(SpecEstimator, _method)))


def is_missing(values: Array) -> NDArray[np.bool_]:
    """Which values are NaN or None."""
    import pandas as pd

    return np.asarray(pd.isna(values))


def _as_value_error(error: SpecError) -> Exception:
    """What is wrong with data, as scikit-learn's users expect it; what is wrong with a spec stays what it is."""
    if all(d.code.startswith("E5") for d in error.diagnostics):
        return ValueError(render(error.diagnostics, error.source))
    return error


__all__ = ["SpecEstimator", "is_missing"]
