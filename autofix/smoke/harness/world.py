"""The small real things that a training loop is bound to: models, optimizers, scalers, accelerators, losses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .stand import Clock, ModelStand, Stand

# Adaptive optimizers move every parameter by about this much, however small the gradient.
_LEARNING_RATE = 1e-5
_HUGE = 1e38  # times a loss scale of 65536: no float32
_BATCH, _IN, _HIDDEN = 8, 4, 8


class Seen:
    """What one optimizer saw at one step: its gradients as one vector, and their norm."""

    def __init__(self, optimizer: str, gradients: torch.Tensor) -> None:
        self.optimizer = optimizer
        self.gradients = gradients
        self.norm = float(torch.linalg.vector_norm(gradients.double()))


class World:
    """Everything real in one run of a region. `size` is the gradient norm that each optimizer would see, unclipped,
    for one backward pass at the start."""

    def __init__(self, spec: dict[str, Any], size: float, seed: int) -> None:
        torch.manual_seed(seed)
        self.seen: list[Seen] = []
        self.models: dict[str, ModelStand] = {}
        self.optimizers: dict[str, Any] = {}
        self.real_optimizers: dict[str, torch.optim.Optimizer] = {}
        self.objects: dict[str, Any] = {}
        self._batches: dict[str, tuple[torch.nn.Module, torch.Tensor, torch.Tensor]] = {}
        self._others: dict[str, tuple[torch.nn.Module, torch.Tensor, torch.Tensor]] = {}
        self._losses: list[torch.Tensor] = []  # kept alive: a copy without a graph is known by its memory
        self.overflows_at = -1  # the turn whose loss is so large that its gradients overflow
        self._scale: Callable[[Any], Any] = lambda loss: loss
        self._make_models(spec)
        self._make_optimizers(spec)
        self._make_helpers(spec)
        self._make_batches(size)
        if spec.get("varied"):
            ordinary = dict(self._batches)
            self._make_batches(size)
            self._batches, self._others = ordinary, self._batches

    # -- making ----------------------------------------------------------------------------------------

    def _make_models(self, spec: dict[str, Any]) -> None:
        """One network for each model; a model whose path continues another's is a part of it."""
        for path in sorted(spec["models"], key=lambda p: p.count(".")):
            network = _network()
            owner = max((p for p in self.models if path.startswith(p + ".")), key=len, default=None)
            if owner is not None:
                self.models[owner]._module.add_module(path[len(owner) + 1 :].replace(".", "_"), network)
            self.models[path] = ModelStand(path, network)
            self._batches[path] = (network[:3], torch.zeros(0), torch.zeros(0))
        self.objects.update(self.models)
        self.objects.update({alias: self.models[path] for alias, path in spec["aliases"].items()})

    def _make_optimizers(self, spec: dict[str, Any]) -> None:
        accelerated = spec["accelerators"]
        for path, entry in spec["optimizers"].items():
            parameters = _unique(p for m in entry["models"] for p in self.models[m]._module.parameters())
            kind = getattr(torch.optim, entry["kind"])
            optimizer = kind(parameters, lr=_LEARNING_RATE)
            self.real_optimizers[path] = optimizer
            optimizer.register_step_pre_hook(self._recorder(path))
            self.optimizers[path] = optimizer
        if accelerated:
            accelerator = Accelerator(accelerated[0], spec["accumulate"])
            self.optimizers = {p: AcceleratedOptimizer(o, accelerator) for p, o in self.optimizers.items()}
            self.objects.update(dict.fromkeys(accelerated, accelerator))
        self.objects.update(self.optimizers)

    def _recorder(self, path: str) -> Any:
        def record(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            parts = [(torch.zeros_like(p) if p.grad is None else p.grad).detach().flatten() for p in parameters]
            self.seen.append(Seen(path, torch.cat(parts).clone()))

        return record

    def _make_helpers(self, spec: dict[str, Any]) -> None:
        for path in spec["scalers"]:
            self.objects[path] = Scaler(self)
            if spec["scaled_elsewhere"]:
                self._scale = self.objects[path].scale
        for path in spec["helpers"]:
            self.objects[path] = Helper(path, self)
        for path in spec["engines"]:
            self.objects[path] = Engine(path, self)
        for path in spec["clips"]:
            self.objects[path] = _clip_to_bound
        for path in spec["fabrics"]:
            self.objects[path] = Fabric(path)
        for path in spec["lightning"]:
            base = self.objects.get(path)
            self.objects[path] = Lightning(path, self, base if isinstance(base, ModelStand) else None)
        for path, models in spec["parameter_lists"].items():
            self.objects[path] = _unique(p for m in models for p in self.models[m]._module.parameters())

    def _make_batches(self, size: float) -> None:
        """Targets at such a distance from the outputs that the gradients have the norm asked for.

        The gradient of a squared error is proportional to that distance, so one pass at distance 1 tells it.
        """
        for path, (network, _, _) in list(self._batches.items()):
            x = torch.randn(_BATCH, _IN)
            noise = torch.randn(_BATCH, 1)
            with torch.no_grad():
                y = network(x)
            torch.nn.functional.mse_loss(network(x), y + noise).backward()
            norms = [p.grad.norm() for p in network.parameters() if p.grad is not None]
            norm = float(torch.linalg.vector_norm(torch.stack(norms)))
            network.zero_grad()
            self._batches[path] = (network, x, y + noise * (size / norm / len(self._batches) ** 0.5))

    # -- running ---------------------------------------------------------------------------------------

    def loss(self) -> torch.Tensor:
        """A fresh loss that reaches the parameters of every model; of another batch in every other turn, if varied."""
        batches = self._others if self._others and Clock.turn % 2 else self._batches
        loss = sum(torch.nn.functional.mse_loss(network(x), y) for network, x, y in batches.values())
        if Clock.turn == self.overflows_at:
            loss = loss * _HUGE
        self._losses.append(loss)
        return loss

    def backward(self) -> None:
        """The backward pass that stands elsewhere in the project, on a scaled loss where a scaler steps here."""
        self._scale(self.loss()).backward()

    def as_loss(self, value: Any) -> Any:
        """`value` when it can be differentiated, else a fresh loss in its place."""
        if isinstance(value, torch.Tensor) and (value.requires_grad or self._is_detached(value)):
            return value
        return self.loss()

    def _is_detached(self, value: torch.Tensor) -> bool:
        """Whether it is a loss of this run without its graph (`loss.detach()`, `loss.data`): no stand-in's doing."""
        return any(value.data_ptr() == loss.data_ptr() for loss in self._losses)

    def parameters(self) -> torch.Tensor:
        """Every parameter, as one vector."""
        vectors = [p.detach().flatten() for m in self.models.values() for p in m._module.parameters()]
        return torch.cat(vectors).clone()


def _network() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(_IN, _HIDDEN), torch.nn.Tanh(), torch.nn.Linear(_HIDDEN, 1))


def _unique(parameters: Iterator[Any]) -> list[Any]:
    return list({id(p): p for p in parameters}.values())


class Scaler(Stand):
    """A real `torch.amp.GradScaler` on the CPU, which turns an opaque loss into a real one."""

    def __init__(self, world: World) -> None:
        super().__init__("scaler")
        real = torch.amp.GradScaler("cpu")
        self.__dict__.update({n: getattr(real, n) for n in ("unscale_", "step", "update", "get_scale", "state_dict")})
        self.__dict__["scale"] = lambda loss: real.scale(world.as_loss(loss))
        self.__dict__["is_enabled"] = lambda: True


class Helper(Stand):
    """A function of the project that runs a backward pass."""

    def __init__(self, path: str, world: World) -> None:
        super().__init__(path)
        self.__dict__["_world"] = world

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._world.backward()
        return self._world.loss().detach()


class Engine(Stand):
    """An object of the project that is handed the loss and the optimizer, in full precision on one process."""

    def __init__(self, path: str, world: World) -> None:
        super().__init__(path)
        self.__dict__["_world"] = world

    def backward_pass(self, loss: Any, *_: Any, **__: Any) -> None:
        self._world.as_loss(loss).backward()

    def optimizer_step(self, optimizer: Any, *_: Any, **__: Any) -> None:
        optimizer.step()

    def zero_grad(self, optimizer: Any, *_: Any, **__: Any) -> None:
        optimizer.zero_grad()


def _clip_to_bound(parameters: Any) -> torch.Tensor:
    """A clip of the project, whose bound is set elsewhere."""
    return torch.nn.utils.clip_grad_norm_(parameters, Clock.bound)


class Accelerator(Stand):
    """Behaves as Accelerate's `Accelerator` on one process in full precision."""

    def __init__(self, path: str, accumulate: int) -> None:
        super().__init__(path)
        self.__dict__.update(sync_gradients=True, _steps=accumulate, gradient_accumulation_steps=accumulate, _count=0)

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        (loss / self._steps).backward(**kwargs)

    @contextlib.contextmanager
    def accumulate(self, *models: Any) -> Iterator[None]:
        self.__dict__["_count"] += 1
        self.__dict__["sync_gradients"] = self._count % self._steps == 0
        yield

    @contextlib.contextmanager
    def no_sync(self, model: Any = None) -> Iterator[None]:
        yield

    def clip_grad_norm_(self, parameters: Any, max_norm: Any, norm_type: float = 2.0) -> torch.Tensor:
        return torch.nn.utils.clip_grad_norm_(parameters, float(max_norm), norm_type)

    def clip_grad_value_(self, parameters: Any, clip_value: Any) -> None:
        torch.nn.utils.clip_grad_value_(parameters, float(clip_value))

    def unscale_gradients(self, optimizer: Any = None) -> None:
        return None

    def unwrap_model(self, model: Any, *_: Any, **__: Any) -> Any:
        return model

    def prepare(self, *objects: Any, **_: Any) -> Any:
        return objects[0] if len(objects) == 1 else objects


class AcceleratedOptimizer(Stand):
    """An optimizer as Accelerate prepares it: it steps and zeroes only when gradients are synchronised."""

    def __init__(self, real: torch.optim.Optimizer, accelerator: Accelerator) -> None:
        super().__init__("optimizer")
        self.__dict__.update(_real=real, _accelerator=accelerator, param_groups=real.param_groups)

    def step(self, closure: Any = None) -> None:
        if self._accelerator.sync_gradients:
            self._real.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self._accelerator.sync_gradients:
            self._real.zero_grad(set_to_none=set_to_none)


def _clip(optimizer: Any, norm: Any, value: Any, norm_type: float) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if value is not None:
        torch.nn.utils.clip_grad_value_(parameters, float(value))
    if norm is not None:
        torch.nn.utils.clip_grad_norm_(parameters, float(norm), norm_type)


class Fabric(Stand):
    """Behaves as Lightning's `Fabric` on one process in full precision."""

    def backward(self, loss: torch.Tensor, *_: Any, **kwargs: Any) -> None:
        kwargs.pop("model", None)
        loss.backward(**kwargs)

    def clip_gradients(
        self, module: Any, optimizer: Any, clip_val: Any = None, max_norm: Any = None, norm_type: float = 2.0,
        error_if_nonfinite: bool = True,
    ) -> None:  # fmt: skip
        _clip(optimizer, max_norm, clip_val, norm_type)


class Lightning(Stand):
    """The module itself in Lightning's manual optimisation."""

    def __init__(self, path: str, world: World, model: ModelStand | None) -> None:
        super().__init__(path)
        if model is not None:
            self.__dict__.update(model.__dict__, _path=path)
        self.__dict__["_world"] = world

    def manual_backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        loss.backward(**kwargs)

    def clip_gradients(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = "norm"
    ) -> None:
        if gradient_clip_val is None:
            return
        by_value = gradient_clip_algorithm == "value"
        _clip(optimizer, None if by_value else gradient_clip_val, gradient_clip_val if by_value else None, 2.0)

    def optimizers(self, *_: Any, **__: Any) -> Any:
        every = list(self._world.optimizers.values())
        return every[0] if len(every) == 1 else every
