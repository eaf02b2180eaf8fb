"""What the file around a layer says: whether it is trained here, ports a finished model, or balances elsewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path, PurePath

from autofix.neighbours import neighbours, read
from autofix.syntax import Module
from autofix.transforms.moe._experts import Layer, functions_of, scores_kind
from autofix.tree import last_part, walk

_BALANCES = re.compile(
    r"balanc|aux(iliary)?_?loss|(^|_)l_?aux|aux_?(coef|weight|free)|load_?loss|importance|z_?loss|cv_?squared|lb_?loss"
    r"|(moe|gate|gating|router?|routing|switch|expert|diversity|dispatch)_?(aux_?)?(loss|coef|entropy)|loss_?(moe|gate|rout)"
    r"|correction_bias|(expert|rout(er|ing)|gate|selection|balance)_?bias|bias_?(update|correction)|sinkhorn|expert_?choice"
    r"|tokens_per_expert|base_?layer|optimal_transport|auction|hungarian|output_router_logits",
    re.I,
)
_Z_LOSS = re.compile(r"(^|_)z_?loss|router_?z|zloss|logit_?(reg|penalt)", re.I)
_CAPACITY = re.compile(r"capacity|drop_?tokens?|token_?drop|max_tokens|buffer_size|overflow|dropped", re.I)
_PORT_NAMES = frozenset(
    "PreTrainedModel PretrainedConfig PreTrainedConfig GenerationMixin past_key_values past_key_value kv_cache KVCache "
    "load_state_dict inference_mode weight_loader load_weights from_pretrained use_cache state_dict_hook "
    "_load_from_state_dict register_load_state_dict_pre_hook safe_open".split()
)
_FINISHED = re.compile(r"pretrained|gguf|tokenizer|load_model|convert_|quantiz", re.I)
_PORT_LIBRARIES = ("transformers", "vllm", "sglang", "lmdeploy", "tensorrt_llm", "safetensors", "ttnn", "mlx")
_FINISHED_CONFIG = re.compile(r"configuration_|configs?$|model_args|\.args$")
_CONVERSION = re.compile(r"(^|_)(convert\w*|interop|hub|weight_?maps?|state_dict\w*)(_|$)")
_ROUTER_OUTPUT = re.compile(r"logits|prob|gat(e|ing)|rout|weights|scores|loss|aux|indices|idx", re.I)


def identifiers(module: Module) -> frozenset[str]:
    """Every name, attribute, parameter, keyword and dictionary key of the file: what its code speaks of."""
    known: frozenset[str] | None = vars(module).get("_moe_identifiers")
    if known is None:
        found: set[str] = set()
        for node in walk(module.tree):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, (ast.arg, ast.keyword)):
                found.add(node.arg or "")
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.update((node.name, node.asname or ""))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                found.add(node.value)
        known = frozenset(found)
        vars(module)["_moe_identifiers"] = known
    return known


def balances(module: Module) -> bool:
    """Whether anything in the file names a means of balancing the experts' load."""
    return any(_BALANCES.search(name) for name in identifiers(module))


def has_z_loss(module: Module) -> bool:
    return any(_Z_LOSS.search(name) for name in identifiers(module))


def is_capacity(name: str) -> bool:
    """Whether a name speaks of how many tokens an expert takes."""
    return bool(_CAPACITY.search(name))


def has_capacity(module: Module) -> bool:
    return any(_CAPACITY.search(name) for name in identifiers(module))


def is_trained_here(module: Module) -> bool:
    """Whether the file itself runs a backward pass and steps an optimizer."""
    return "backward" in module.text and {"backward", "step"} <= identifiers(module)


def is_port(module: Module) -> bool:
    """Whether the file looks like an implementation of a model that has been trained elsewhere."""
    names = identifiers(module)
    if names & _PORT_NAMES or any(_FINISHED.search(name) for name in names):
        return True
    for node in walk(module.tree):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
            if node.level and _FINISHED_CONFIG.search(node.module or ""):
                return True
        if any(name.partition(".")[0] in _PORT_LIBRARIES for name in imported):
            return True
    return False


def is_superseded(module: Module, layer: Layer) -> bool:
    """Whether the file trains nothing and nobody imports it, while another file of the project has a class of the same
    name: what is trained is that one."""
    if is_trained_here(module):
        return False
    texts = [read(path) for path in neighbours(module.path) or ()]
    head = b"class " + layer.cls.name.encode()
    if not any(head in text and re.search(b"^" + head + rb"\b", text, re.M) for text in texts):
        return False
    stem = PurePath(module.path).stem.encode()
    imports = re.compile(rb"^\s*(from|import)\b[^\n#]*\b" + re.escape(stem) + rb"\b", re.M)
    return not any(stem in text and imports.search(text) for text in texts)


def takes_config(layer: Layer) -> bool:
    """Whether the layer's sizes come out of a configuration object, which may hold more than this file shows."""
    arguments = layer.init.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return any(re.search(r"config|cfg|args|hparams|params|opt$", name) for name in names)


def is_trainable(module: Module, layer: Layer) -> bool:
    """Whether the layer is trained in view, or by all that the file shows made to be trained from scratch."""
    if runs_without_gradients(layer):
        return False
    if is_trained_here(module):
        return True
    return not (takes_config(layer) or is_port(module) or _is_beside_a_conversion(module))


def _is_beside_a_conversion(module: Module) -> bool:
    """Whether a file of the same folder brings a finished model's weights into the classes of this one."""
    folder = Path(module.path).resolve().parent
    return any(p.parent == folder and _CONVERSION.search(p.stem) for p in neighbours(module.path) or ())


def runs_without_gradients(layer: Layer) -> bool:
    """Whether the forward pass of the layer is under `no_grad` or `inference_mode`."""
    for function in functions_of(layer.unit):
        for decorator in function.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            if function.name != "__init__" and last_part(target) in ("no_grad", "inference_mode"):
                return True
    return False


def hands_out_routing(module: Module, layer: Layer) -> bool:
    """Whether the layer returns the router's scores or choices beside its output: a caller may balance by them."""
    for node in walk(layer.forward):
        if not isinstance(node, ast.Return) or not isinstance(node.value, (ast.Tuple, ast.Dict)):
            continue
        parts = node.value.elts[1:] if isinstance(node.value, ast.Tuple) else node.value.values
        for part in parts:
            if scores_kind(module, part)[0] or _ROUTER_OUTPUT.search(last_part(part)):
                return True
    return False
