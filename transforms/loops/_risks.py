"""What in view makes large gradients likely: read off the model that is stepped and the loss that it is stepped on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

from autofix.syntax import Module
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, last_name, same
from autofix.transforms.loops._clipping import other_branch
from autofix.transforms.loops._density import is_unbounded
from autofix.transforms.loops._loops import Pair, optimizer_step, pair
from autofix.transforms.loops._spared import needs_none, without_batches
from autofix.transforms.loops._stepped import Stepped, identifiers, near, origins, stepped
from autofix.tree import walk

_RECURRENT = re.compile(r"^(Conv)?(LSTM|GRU|RNN)(Cell)?$|LSTM|^(lstm|gru|rnn)(_|\d*$)|_(lstm|gru|rnn)$")
_ATTENTION = re.compile(
    r"Transformer(Encoder|Decoder|Model|Block|Layer|LM|Wrapper)|^(Text|Vision|Decoder|Encoder|Causal)Transformer"
    r"|Multi[Hh]ead(ed)?(Self|Cross)?Attention|^(Causal)?SelfAttention$"
    r"|^AutoModel|^(Bert|Roberta|T5|Llama|Mistral)[A-Z]\w*|^(Nano|Mini)?GPT(2|Neo\w*|Config|LM\w*)?$"
    r"|^(lm_head|input_ids|attention_mask|token_type_ids|vocab_size|perplexity|scaled_dot_product_attention)$"
    r"|^(lm|num_tokens|token_batch)$"
)
_VOCABULARY = re.compile(
    r"^n?_?vocab(ulary)?_size$|^n_vocab$|LanguageModel|^LLM|CausalLM|DecoderOnly|^tokenizer$|^nhead$"
)
_HEADS = re.compile(r"^(n|num)_heads?$")
_ATTENDS = re.compile(r"att(n|ention|end)|qkv|^w_?[qkv]$|^[qkv]_?proj$|quer(y|ies)", re.I)
_GRAPH = re.compile(
    r"^(dgl|edge_index|edge_softmax|update_all|apply_edges|MessagePassing|propagate|[en]data)$|GAT(v2)?(Conv)?$"
)
_EXPERTS = re.compile(r"^(n_|num_)?(local_)?experts$|^moe(_|$)|MoE|MixtureOfExperts|^router(_|$)")
_EXPERT_LAYERS = re.compile(r"^(local_)?experts?$|^moe(_|$)|MoE|MixtureOfExperts|Experts?(Layer|MLP|FFN|Net)?$")
_DISPATCH = re.compile(
    r"top_?k(_|$)|topk|num_selects|dispatch|capacity|(experts|active)_per_tok|Sparse|Switch|Mixtral|noisy_(gating|top)"
    r"|balanc\w*_(loss|weight|coef)|^aux\w*_loss|z_loss|(n|num)_active|active_experts"
)
_GATE_ONLY = re.compile(r"Gat(e|ing)(Net\w*)?$|Router$")
_RATIO_CLAMP = re.compile(
    r"Clip\w*Loss$|PPO|^clip_(eps|epsilon|range|ratio|param|coef)|^eps_clip|cliprange|^ppo_", re.I
)
_NORMALISES = re.compile(r"whiten|normali[sz]e|standardi[sz]e|softmax", re.I)
_PENALTY = re.compile(
    r"grad(ient)?_?penalty|lambda_gp|^gp_|spectral_norm|wgan|wasserstein|(^|_)r1_(penalty|reg|loss|gamma)|path_(length_)?(reg|penalty)",
    re.I,
)
_LOG_PROBABILITY = re.compile(r"log_?probs?(_|$)|^logp(s|_|$)|log_?pi(_|$)|^ratios?$", re.I)
_ADVANTAGE = re.compile(r"advantages?|^advs?(_|$)|^returns$|^rewards?(_(?!model|net|fn|func|head)|$)", re.I)
_PROBABILITY = re.compile(r"^(pi|probs?|policy)(_|$)|_probs?$", re.I)
_RETURN = re.compile(r"^(R|G|G_t|delta)$")
_POLICY_LOSS = re.compile(
    r"(PPO|A2C|A3C|TRPO|GRPO|RLOO|Reinforce|VMPO|PolicyGradient)\w*Loss$|^(policy_gradient|pg)_loss$|(^|_)pi_loss$"
)
_VALUE_LEARNING = re.compile(
    r"^(target_?)?q\d?(_|$)|^next_q|critic_?target|target_?critic|polyak|soft_?update|_q_|^qf\d|DQN|^q_?net|target_net|td_error",
    re.I,
)
_ADVERSARIAL = re.compile(r"discriminator|(^|_)disc(r)?(_|$)|^(net|err|optim\w*)_?[GD]$|adversarial", re.I)
_UNROLLED = re.compile(r"^(odeint|odeint_adjoint|cdeint)$")
_ANCHOR = re.compile(r"recon|autoencoder|(^|_)vae|elbo|^kl_|mel_loss|loss_mel|^(l1|mse)_loss$|cycle", re.I)
_RETURNS = re.compile(r"reward|^dones?$|^gamma$|^next_(state|obs)|^td_|replay|DQN|Bellman", re.I)
# Beside a reconstruction, an adversary is a regulariser on a short lead; as a reward, it passes on no gradient.
_TEMPERS = re.compile(f"{_ANCHOR.pattern}|{_RETURNS.pattern}", re.I)
_LARGE_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Risk:
    """because: a clause for the message; strong: whether practice bounds the norm for this reason as a rule."""

    because: str
    strong: bool


ADVERSARIAL = Risk("adversarial players amplify each other's gradients", False)


def risk(module: Module, found: Pair) -> Risk | None:
    """What makes one batch's gradient likely to be far larger than the rest, in the order of how much it says."""
    around = list(near(module, found))
    scopes = enclosing_scopes(module, found.step.call)[:-1]
    outer = list(walk(scopes[-1])) if scopes else []
    beyond = {w for n in outer for w in identifiers(n)}
    model = stepped(module, found)
    words = {w for n in around for w in identifiers(n)}
    if any(_RECURRENT.search(w) for w in model.words):
        return Risk("a recurrent net multiplies its gradient over the time steps", True)
    if without_batches(module, found):
        return None
    if _routes(model):
        return Risk("routing sends some batches to few experts, whose gradients spike", True)
    if _attends(model):
        return Risk("attention models have rare batches with gradients far above the rest", True)
    if any(_PENALTY.search(w) for w in words | beyond):
        return None  # the penalty, or the norm of the weights, is this recipe's bound
    policy = any(_POLICY_LOSS.search(w) for w in words | beyond) or _weighs_log_probabilities(words, around)
    if policy and not _has_fixed_scale(module, (*around, *outer)):
        return Risk("a policy loss weighs log-probabilities with returns, whose scale nothing fixes", True)
    other = other_branch(module, found)
    in_view = bool(constructors(module, found.step.optimizer))
    # A function that is handed its optimizer and trains with or without a scaler leaves the recipe to its caller.
    if _is_scaled(found) and (in_view or other is None):
        return Risk("in half precision the scaler skips steps that overflow but lets any finite spike through", True)
    if in_view and other is not None and _is_scaled(other) and not needs_none(module, other):
        return Risk(
            "the other branch, in half precision, needs a bound, without which this one trains differently", True
        )
    bootstraps = any(_VALUE_LEARNING.search(w) for w in words | beyond)
    if not bootstraps and not policy and not _sums(module, around) and is_unbounded(module, model, around):
        return Risk("the gradient of a log-likelihood grows without limit where the density is small", True)
    made_here = any(isinstance(o, ast.Call) for o in origins(module, found.step.optimizer))
    if made_here and any(_guards_loss(module, n) for n in around):
        return Risk("the code here already looks out for losses that are not finite", True)
    if any(isinstance(n, ast.keyword) and n.arg == "create_graph" for n in around) or any(
        _UNROLLED.search(w) for w in words
    ):
        return Risk("the loss is differentiated through other gradients or an unrolled solver", False)
    bounded = any(re.search(r"huber|smooth_l1", w, re.I) for w in words)
    if bootstraps and not bounded and any(_RETURNS.search(w) for w in words | beyond):
        return Risk("errors against a target that the net itself makes have no bound", False)
    tempered = any(_TEMPERS.search(w) for w in words | beyond)
    if not tempered and any(_ADVERSARIAL.search(w) for w in words) and _players_meet(module, found):
        return ADVERSARIAL
    return _rate_of_sgd(module, found.step.optimizer)


def _attends(model: Stepped) -> bool:
    """Whether the stepped model is a transformer. Heads alone may be those of any net with several outputs, and the
    attention of a graph net sums over neighbours."""
    words = model.words
    if any(_ATTENTION.search(w) or _VOCABULARY.search(w) for w in words):
        return True
    return (
        any(_HEADS.search(w) for w in words)
        and any(_ATTENDS.search(w) for w in words)
        and not any(_GRAPH.search(w) for w in words)
    )


def _is_scaled(found: Pair) -> bool:
    return found.step.scaler is not None and found.backward.kind == "scaled"


def _routes(model: Stepped) -> bool:
    """Whether the stepped model has experts that some tokens are sent to, and not a gate alone: experts that all see
    every token have no batch of their own."""
    if model.makers and all(_GATE_ONLY.search(m) for m in model.makers):
        return False
    words = model.made if model.classes else model.words
    if model.whole and not any(_EXPERT_LAYERS.search(w) for w in words):
        return False  # a gate that is trained beside frozen experts knows their number
    return any(_EXPERTS.search(w) for w in words) and any(_DISPATCH.search(w) for w in model.words)


def _sums(module: Module, around: list[ast.AST]) -> bool:
    """Whether the loss is summed over a batch, or Pyro's plates scale its likelihood to the whole data set
    (`plate("data", size, len(batch))`): any norm is then as large as the data, and a bound of 1 would take the length
    of every step."""
    reductions = (n.value for n in around if isinstance(n, ast.keyword) and n.arg == "reduction")
    if any(isinstance(r, ast.Constant) and r.value == "sum" for r in reductions):
        return True
    plates = (n for n in walk(module.tree) if isinstance(n, ast.Call) and last_name(n.func) == "plate")
    return any(len(p.args) > 2 or any((k.arg or "").startswith("subsample") for k in p.keywords) for p in plates)


def _players_meet(module: Module, found: Pair) -> bool:
    """Whether the function makes the losses of two players and steps both: a trainer that steps on losses which a
    model hands it leaves the game, and its balance, to that model."""
    function = module.function_scope(found.step.call)
    steps = (s for n in walk(function) if (s := optimizer_step(module, n)) is not None)
    others = [p for s in steps if not same(s.optimizer, found.step.optimizer) and (p := pair(module, s)) is not None]
    return any(_makes_loss(module, found) and _makes_loss(module, p) for p in others)


def _makes_loss(module: Module, found: Pair) -> bool:
    call = found.backward.call
    loss = call.args[0] if call.args else call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(loss, (ast.Name, ast.Attribute)):
        return any(isinstance(v, (ast.Call, ast.BinOp, ast.UnaryOp)) for v in constructors(module, loss))
    return loss is not None


def names_a_risky_model(module: Module) -> bool:
    """Whether the file names a recurrent net, attention or experts anywhere."""
    words = {w for n in walk(module.tree) for w in identifiers(n)}
    return any(_RECURRENT.search(w) or _ATTENTION.search(w) or _EXPERTS.search(w) for w in words)


def _has_fixed_scale(module: Module, nodes: Iterable[ast.AST]) -> bool:
    """Whether advantages are normalised, or PPO's clamp bounds the ratio that they are weighed with."""
    return any(_fixes_scale(module, n) for n in nodes)


def _fixes_scale(module: Module, node: ast.AST) -> bool:
    if any(_RATIO_CLAMP.search(w) for w in identifiers(node)):
        return True
    if isinstance(node, ast.keyword):
        return bool(node.arg and re.search(r"normali[sz]e_adv|average_gae", node.arg))
    if isinstance(node, ast.Call) and last_name(node.func) in ("clamp", "clip", "clamp_"):
        return "ratio" in module.source(node)
    if isinstance(node, ast.Call):
        return bool(_NORMALISES.search(last_name(node.func))) and _weighs(node)
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and "std" in module.source(node.right)
        and (_weighs(node.left))
    )


def _weighs(node: ast.expr) -> bool:
    return any(_ADVANTAGE.search(w) for n in walk(node) for w in identifiers(n))


def _guards_loss(module: Module, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or last_name(node.func) not in ("isnan", "isfinite", "isinf"):
        return False
    return bool(re.search(r"loss|grad", module.source(node), re.I))


def _weighs_log_probabilities(words: set[str], around: list[ast.AST]) -> bool:
    """Whether the loss is a policy gradient. Losses that follow a learned Q, as in SAC, are none, nor is the
    likelihood of the rewards themselves."""
    if any(_VALUE_LEARNING.search(w) for w in words):
        return False
    if any(_is_policy_gradient(n) for n in around):
        return True
    if not any(_LOG_PROBABILITY.search(w) for w in words):
        return False
    asked = [n for n in around if isinstance(n, ast.Call) and last_name(n.func) == "log_prob" and n.args]
    if asked and all(_weighs(a) for n in asked for a in n.args):
        return False
    return any(_ADVANTAGE.search(w) for w in words)


def _is_policy_gradient(node: ast.AST) -> bool:
    """Whether a product weighs the logarithm of a probability: `torch.log(prob) * R`."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult):
        return False
    sides = (node.left, node.right), (node.right, node.left)
    return any(_takes_log_of_policy(a) and _weighs_by_return(b) for a, b in sides)


def _takes_log_of_policy(side: ast.expr) -> bool:
    logs = (n for n in walk(side) if isinstance(n, ast.Call) and last_name(n.func) == "log")
    return any(_PROBABILITY.search(w) for n in logs for part in walk(n) for w in identifiers(part))


def _weighs_by_return(side: ast.expr) -> bool:
    return any(_ADVANTAGE.search(w) or _RETURN.search(w) for n in walk(side) for w in identifiers(n))


def _rate_of_sgd(module: Module, optimizer: ast.expr) -> Risk | None:
    built = constructors(module, optimizer)
    if not built or not all(isinstance(b, ast.Call) and last_name(b.func) == "SGD" for b in built):
        return None
    rates = [k.value for b in built if isinstance(b, ast.Call) for k in b.keywords if k.arg == "lr"]
    known = [r.value for r in rates if isinstance(r, ast.Constant) and isinstance(r.value, (int, float))]
    if not known or known[0] < _LARGE_RATE:
        return None
    return Risk(f"SGD moves by the full length of the gradient, here times {known[0]}", False)
