"""Code as projects write it, before and after a repair: the planner makes a trial of each, and the trial runs.

Every snippet has to be executed; those that end in True have a failure that the trial must find as well.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from autofix.model import Applicability, Claim, Edit, Fix, Relation, Source, Span
from autofix.smoke.expression import plan
from autofix.smoke.harness import expression
from autofix.syntax import Module, parse

HEAD = (
    "import math\nimport torch\nimport torch.nn.functional as F\nimport torch.distributed as dist\n"
    "from dataclasses import dataclass\nfrom einops import rearrange\nfrom torch import nn, einsum\n\n"
)
SOME = "finite values change where the denominator is near zero"
Snippet = tuple[str, list[tuple[str, str]], dict[str, Any], bool]

FLOOR = {"relation": Relation.EQUAL, "change": SOME}
EXACT = {"relation": Relation.EQUAL}
SATURATING = {
    "relation": Relation.EQUAL,
    "hazard": ("value", "gradient", "zero-gradient"),
    "change": "the loss goes on growing where it saturated",
}
MASK = {"relation": Relation.MASK, "hazard": ("value", "gradient", "exception", "leak")}


def clamped(quantity: str, low: float | None, high: float | None) -> dict[str, Any]:
    return {"relation": Relation.CLAMPED, "parameters": {"quantity": quantity, "min": low, "max": high}}


def swap(body: str, old: str, new: str, claim: dict[str, Any], fails: bool = True) -> Snippet:
    return body, [(old, new)], claim, fails


SNIPPETS: dict[str, Snippet] = {
    "masked mean": swap(
        "def f(x, mask):\n    return (x * mask).sum() / mask.sum()\n",
        "mask.sum()", "mask.sum().clamp_min(1)", FLOOR,
    ),
    "masked mean over a dimension": swap(
        "def pool(hidden, attention_mask):\n    m = attention_mask.unsqueeze(-1).float()\n"
        "    s = (hidden * m).sum(1)\n    n = m.sum(1)\n    return s / n\n",
        "s / n", "s / n.clamp_min(1)", FLOOR,
    ),
    "loss over counted tokens": swap(
        "def loss(self, logits, labels):\n    l = F.cross_entropy(logits.view(-1, self.vocab), labels.view(-1),"
        " reduction='sum')\n    n = (labels != -100).sum()\n    return l / n\n",
        "l / n", "l / n.clamp_min(1)", FLOOR,
    ),
    "shifted language model loss": swap(
        "def loss(logits, labels):\n    shift_logits = logits[..., :-1, :].contiguous()\n"
        "    shift_labels = labels[..., 1:].contiguous()\n    mask = shift_labels != -100\n"
        "    safe = shift_labels.masked_fill(~mask, 0)\n"
        "    logp = torch.gather(shift_logits.log_softmax(-1), 2, safe.unsqueeze(2)).squeeze(2)\n"
        "    return -(logp * mask).sum() / mask.sum()\n",
        "mask.sum()\n", "mask.sum().clamp_min(1)\n", FLOOR,
    ),
    "divided by items of a count": swap(
        "def loss(per_token, mask):\n    n = mask.sum().item()\n    total = (per_token * mask).sum()\n"
        "    return total / n\n",
        "total / n", "total / max(n, 1)", FLOOR, False,
    ),
    "batch dictionary": swap(
        "def step(self, batch):\n    losses = self.per_token(batch['input_ids'])\n"
        "    mask = batch['loss_mask'].float()\n"
        "    return (losses * mask).sum() / mask.sum()\n",
        "mask.sum()\n", "mask.sum().clamp_min(1)\n", FLOOR,
    ),
    "outputs with logits": swap(
        "def step(self, batch):\n    outputs = self.model(**batch)\n"
        "    return torch.log(torch.softmax(outputs.logits, dim=-1))\n",
        "torch.log(torch.softmax(outputs.logits, dim=-1))", "torch.log_softmax(outputs.logits, dim=-1)", EXACT,
    ),
    "labels of a batch": swap(
        "def step(self, batch):\n    logits = self.model(batch['x'])\n    p = F.softmax(logits, dim=1)\n"
        "    return F.nll_loss(torch.log(p), batch['labels'])\n",
        "torch.log(p)", "F.log_softmax(logits, dim=1)", EXACT,
    ),
    "where with a square root": swap(
        "def f(d2):\n    return torch.where(d2 > 0, torch.sqrt(d2), torch.zeros_like(d2))\n",
        "torch.sqrt(d2)", "torch.sqrt(torch.where(d2 > 0, d2, torch.ones_like(d2)))", EXACT,
    ),
    "where with a logarithm": swap(
        "def f(x):\n    valid = x > 0\n    return torch.where(valid, x.log(), torch.zeros_like(x)).sum()\n",
        "x.log()", "torch.where(valid, x, torch.ones_like(x)).log()", EXACT,
    ),
    "where with a division": swap(
        "def f(a, b):\n    return torch.where(b != 0, a / b, torch.zeros_like(a))\n",
        "a / b", "a / torch.where(b != 0, b, torch.ones_like(b))", EXACT,
    ),
    "masked after the fact": swap(
        "def f(x, mask):\n    y = torch.sqrt(x) * mask\n    return y.sum()\n",
        "torch.sqrt(x)", "torch.sqrt(x.clamp_min(1e-6))", FLOOR,
    ),
    "angle between vectors": swap(
        "def angle(a, b):\n    cos = (a * b).sum(-1)\n    return torch.acos(cos)\n",
        "torch.acos(cos)", "torch.acos(cos.clamp(-1 + torch.finfo(cos.dtype).eps, 1 - torch.finfo(cos.dtype).eps))",
        FLOOR,
    ),
    "angle of a rotation": swap(
        "def geodesic(R):\n    trace = R[..., 0, 0] + R[..., 1, 1] + R[..., 2, 2]\n    c = (trace - 1) / 2\n"
        "    return torch.acos(c)\n",
        "torch.acos(c)", "torch.acos(c.clamp(-1 + torch.finfo(c.dtype).eps, 1 - torch.finfo(c.dtype).eps))", FLOOR,
    ),
    "eps outside the root": swap(
        "def update(grad, second_moment):\n    return grad / (second_moment.sqrt() + 1e-6)\n",
        "(second_moment.sqrt() + 1e-6)", "(second_moment + 1e-6).sqrt()", FLOOR,
    ),
    "eps outside the root of an estimate": swap(
        "def whiten(self, x):\n    var = self.running_var\n"
        "    return (x - self.running_mean) / (torch.sqrt(var) + self.eps)\n",
        "(torch.sqrt(var) + self.eps)", "torch.sqrt(var + self.eps)", FLOOR,
    ),
    "unit vectors": swap(
        "def f(x):\n    return x / x.norm(dim=-1, keepdim=True)\n",
        "x / x.norm(dim=-1, keepdim=True)", "F.normalize(x, dim=-1)", EXACT,
    ),
    "cosine similarity of two towers": swap(
        "def clip(self, image, text):\n    image = image / image.norm(dim=1, keepdim=True)\n"
        "    text = text / text.norm(dim=1, keepdim=True)\n    logits = self.logit_scale.exp() * image @ text.t()\n"
        "    return logits\n",
        "image / image.norm(dim=1, keepdim=True)", "F.normalize(image, dim=1)", EXACT,
    ),
    "log of a determinant": swap(
        "def nll(cov, d):\n    return 0.5 * torch.log(torch.det(cov)) + d\n",
        "torch.log(torch.det(cov))", "torch.logdet(cov)", EXACT, False,
    ),
    "log determinant of a flow": swap(
        "class Mix(nn.Module):\n    def __init__(self, n):\n        super().__init__()\n"
        "        self.weight = nn.Parameter(torch.eye(n))\n    def forward(self, x):\n"
        "        ld = torch.log(torch.abs(torch.det(self.weight)))\n        return x @ self.weight, ld\n",
        "torch.log(torch.abs(torch.det(self.weight)))", "torch.linalg.slogdet(self.weight)[1]", EXACT, False,
    ),
    "inverse times a vector": swap(
        "def solve(A, b):\n    return torch.inverse(A) @ b\n",
        "torch.inverse(A) @ b", "torch.linalg.solve(A, b)", EXACT, False,
    ),
    "mahalanobis distance": swap(
        "def maha(x, mu, cov):\n    d = (x - mu).unsqueeze(-1)\n"
        "    return d.transpose(-2, -1) @ torch.linalg.inv(cov) @ d\n",
        "torch.linalg.inv(cov) @ d", "torch.linalg.solve(cov, d)", EXACT, False,
    ),
    "binary cross entropy object": swap(
        "class Head(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.loss_fct = nn.BCELoss()\n"
        "    def forward(self, logits, target):\n        return self.loss_fct(torch.sigmoid(logits), target)\n",
        "self.loss_fct(torch.sigmoid(logits), target)", "F.binary_cross_entropy_with_logits(logits, target)",
        SATURATING,
    ),
    "binary cross entropy in a local": swap(
        "def loss(logits, y):\n    criterion = nn.BCELoss()\n"
        "    return criterion(torch.sigmoid(logits), y.float())\n",
        "criterion(torch.sigmoid(logits), y.float())", "F.binary_cross_entropy_with_logits(logits, y.float())",
        SATURATING,
    ),
    "binary cross entropy by function": swap(
        "def loss(x, y):\n    return F.binary_cross_entropy(torch.sigmoid(x), y)\n",
        "F.binary_cross_entropy(torch.sigmoid(x), y)", "F.binary_cross_entropy_with_logits(x, y)",
        SATURATING,
    ),
    "configuration object": swap(
        "@dataclass\nclass Config:\n    temperature: float = 0.07\n    eps: float = 1e-8\n\n"
        "class Loss(nn.Module):\n    def __init__(self, config: Config):\n        super().__init__()\n"
        "        self.config = config\n    def forward(self, sim):\n"
        "        e = torch.exp(sim / self.config.temperature)\n        return e / e.sum(-1, keepdim=True)\n",
        "        e = torch.exp(sim / self.config.temperature)\n        return e / e.sum(-1, keepdim=True)",
        "        return torch.softmax(sim / self.config.temperature, dim=-1)", EXACT,
    ),
    "sizes unpacked": swap(
        "def attend(q, k, v):\n    b, h, t, d = q.shape\n"
        "    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(d)\n"
        "    causal = torch.ones(t, t, dtype=torch.bool, device=q.device).triu(1)\n"
        "    scores = scores.masked_fill(causal, -1e9)\n    return torch.softmax(scores, -1) @ v\n",
        "-1e9", "torch.finfo(scores.dtype).min", MASK,
    ),
    "heads split by view": swap(
        "def attend(self, x, mask):\n    b, t, c = x.size()\n"
        "    q = self.q(x).view(b, t, self.heads, c // self.heads).transpose(1, 2)\n"
        "    k = self.k(x).view(b, t, self.heads, c // self.heads).transpose(1, 2)\n"
        "    att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))\n"
        "    att = att.masked_fill(mask[:, :, :t, :t] == 0, float('-inf'))\n    att = F.softmax(att, dim=-1)\n"
        "    return att\n",
        "float('-inf')", "torch.finfo(att.dtype).min", MASK,
    ),
    "einsum attention": swap(
        "def attend(q, k, mask):\n    sim = einsum('b h i d, b h j d -> b h i j', q, k)\n"
        "    sim = sim.masked_fill(~mask, -float('inf'))\n    return sim.softmax(dim=-1)\n",
        "-float('inf')", "torch.finfo(sim.dtype).min", MASK,
    ),
    "rearranged mask": swap(
        "def attend(dots, mask):\n    mask = rearrange(mask, 'b j -> b 1 1 j')\n"
        "    dots = dots.masked_fill(~mask, float('-inf'))\n"
        "    return dots.softmax(dim=-1)\n",
        "float('-inf')", "torch.finfo(dots.dtype).min", MASK,
    ),
    "rearranged heads": swap(
        "def attend(self, x, mask):\n    q, k, v = self.to_qkv(x).chunk(3, dim=-1)\n"
        "    q, k, v = map(lambda t: rearrange(t, 'b n (h d) -> b h n d', h=self.heads), (q, k, v))\n"
        "    dots = torch.matmul(q, k.transpose(-1, -2))\n    dots = dots.masked_fill(mask, float('-inf'))\n"
        "    return dots.softmax(-1)\n",
        "float('-inf')", "torch.finfo(dots.dtype).min", MASK,
    ),
    "distributed guard": swap(
        "def loss(x, mask):\n    n = mask.sum()\n    if dist.is_initialized():\n        dist.all_reduce(n)\n"
        "        n = n / dist.get_world_size()\n    return (x * mask).sum() / n\n",
        "mask).sum() / n", "mask).sum() / n.clamp_min(1)", FLOOR,
    ),
    "training branch": swap(
        "class M(nn.Module):\n    def forward(self, x):\n        if self.training:\n"
        "            scale = torch.exp(x)\n"
        "        else:\n            scale = torch.ones_like(x)\n        return scale\n",
        "torch.exp(x)", "torch.exp(x.clamp(max=20.0))", clamped("x", None, 20.0),
    ),
    "losses collected": swap(
        "def loss(self, preds, masks):\n    losses = []\n    for p, mask in zip(preds, masks):\n"
        "        losses.append((p * mask).sum() / mask.sum())\n    return torch.stack(losses).mean()\n",
        "mask.sum())", "mask.sum().clamp_min(1))", FLOOR,
    ),
    "losses of a loop": swap(
        "def loss(preds, target):\n    total = 0\n    for i in range(len(preds)):\n"
        "        total = total + torch.sqrt(((preds[i] - target) ** 2).sum())\n    return total\n",
        "torch.sqrt(((preds[i] - target) ** 2).sum())", "torch.linalg.vector_norm(preds[i] - target)", EXACT,
    ),
    "sum over a generator": swap(
        "def penalty(params):\n    return torch.sqrt(sum((p ** 2).sum() for p in params))\n",
        "torch.sqrt(sum((p ** 2).sum() for p in params))",
        "torch.sqrt(sum((p ** 2).sum() for p in params) + 1e-6)", FLOOR,
    ),
    "early return": swap(
        "def f(x, weight=None):\n    if weight is None:\n        return x.mean()\n"
        "    return (x * weight).sum() / weight.sum()\n",
        "weight.sum()\n", "weight.sum().clamp_min(torch.finfo(weight.dtype).eps)\n", FLOOR,
    ),
    "no-grad statistics": swap(
        "def scale(self, x, y):\n    with torch.no_grad():\n        std = y.std(dim=-1, keepdim=True)\n"
        "    return x / std\n",
        "x / std", "x / std.clamp_min(1e-6)", FLOOR,
    ),
    "autocast disabled": swap(
        "def loss(logits, target):\n    with torch.autocast('cuda', enabled=False):\n"
        "        p = torch.softmax(logits.float(), dim=-1)\n"
        "        l = -(target * torch.log(p)).sum(-1)\n    return l.mean()\n",
        "torch.log(p)", "F.log_softmax(logits.float(), dim=-1)", EXACT,
    ),
    "cast before the exponential": swap(
        "def f(x, dtype):\n    y = x.float()\n    y = torch.log(1 + torch.exp(y))\n    return y.to(dtype)\n",
        "torch.log(1 + torch.exp(y))", "F.softplus(y)", EXACT,
    ),
    "cast to the dtype of another": swap(
        "def f(scores, v, mask):\n    scores = scores + mask\n"
        "    w = torch.log(torch.softmax(scores, dim=-1, dtype=torch.float32)).to(v.dtype)\n"
        "    return w\n",
        "torch.log(torch.softmax(scores, dim=-1, dtype=torch.float32))",
        "torch.log_softmax(scores, dim=-1, dtype=torch.float32)", EXACT,
    ),
    "dropout hides a softmax": swap(
        "class A(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.dropout = nn.Dropout(0.1)\n"
        "    def forward(self, q, k, mask):\n        s = q @ k.transpose(-2, -1)\n"
        "        s = s.masked_fill(mask, float('-inf'))\n"
        "        return self.dropout(F.softmax(s, dim=-1))\n",
        "float('-inf')", "torch.finfo(s.dtype).min", MASK,
    ),
    "dropout by function": swap(
        "def f(self, s, mask):\n    s = s.masked_fill(mask, float('-inf'))\n"
        "    return F.dropout(F.softmax(s, dim=-1), p=self.dropout, training=self.training)\n",
        "float('-inf')", "torch.finfo(s.dtype).min", MASK,
    ),
    "dropout that came as an argument": swap(
        "def attend(q, k, v, mask=None, dropout=None):\n"
        "    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.size(-1))\n"
        "    if mask is not None:\n        scores = scores.masked_fill(mask == 0, -1e9)\n"
        "    p_attn = F.softmax(scores, dim=-1)\n    if dropout is not None:\n        p_attn = dropout(p_attn)\n"
        "    return torch.matmul(p_attn, v), p_attn\n",
        "-1e9", "torch.finfo(scores.dtype).min", MASK,
    ),
    "dropout of a submodule not in sight": swap(
        "class A(Base):\n    def forward(self, s, mask):\n        s = s.masked_fill(mask, float('-inf'))\n"
        "        p = self.attn_drop(s.softmax(dim=-1))\n        return p\n",
        "float('-inf')", "torch.finfo(s.dtype).min", MASK,
    ),
    "mixture of experts": swap(
        "class MoE(nn.Module):\n    def forward(self, x):\n"
        "        outs = torch.stack([expert(x) for expert in self.experts], dim=1)\n"
        "        e = torch.exp(self.gate(x))\n        w = e / e.sum(-1, keepdim=True)\n"
        "        return (outs * w.unsqueeze(-1)).sum(1)\n",
        "        e = torch.exp(self.gate(x))\n        w = e / e.sum(-1, keepdim=True)",
        "        w = torch.softmax(self.gate(x), dim=-1)", EXACT,
    ),
    "experts in one list": swap(
        "class MoE(nn.Module):\n    def forward(self, x, logits):\n"
        "        outputs = [expert(x) for expert in self.experts]\n"
        "        w = torch.log(torch.softmax(logits, dim=-1)).exp()\n"
        "        return sum(w[..., i:i + 1] * o for i, o in enumerate(outputs))\n",
        "torch.log(torch.softmax(logits, dim=-1)).exp()", "torch.log_softmax(logits, dim=-1).exp()", EXACT,
    ),
    "nested tuple": swap(
        "class V(nn.Module):\n    def forward(self, x):\n        z, (mu, logvar) = self.encode(x)\n"
        "        kl = 0.5 * (logvar.exp() + mu.square() - logvar - 1.0)\n        return kl.mean()\n",
        "        kl =", "        logvar = logvar.clamp(min=-30.0, max=20.0)\n        kl =",
        clamped("logvar", -30.0, 20.0),
    ),
    "reparameterisation": swap(
        "class V(nn.Module):\n    def forward(self, x):\n        mu, logvar = self.encoder(x).chunk(2, dim=1)\n"
        "        std = torch.exp(0.5 * logvar)\n        eps = torch.randn_like(std)\n        return mu + eps * std\n",
        "        std =", "        logvar = logvar.clamp(-30.0, 20.0)\n        std =", clamped("logvar", -30.0, 20.0),
    ),
    "probabilities of a mixture": swap(
        "def nll(pi, logp):\n    return -torch.log((pi * logp.exp()).sum(dim=-1)).mean()\n",
        "torch.log((pi * logp.exp()).sum(dim=-1))", "torch.logsumexp(pi.clamp_min(1e-6).log() + logp, dim=-1)", FLOOR,
    ),
    "logits of the same distribution": swap(
        "class Mixture:\n    def log_prob(self, x):\n"
        "        return torch.log((self.categorical.probs * x.exp()).sum(-1))\n"
        "    def entropy(self):\n        return self.categorical.logits.sum()\n",
        "torch.log((self.categorical.probs * x.exp()).sum(-1))",
        "torch.logsumexp(self.categorical.logits + x, dim=-1)", EXACT, True,
    ),
    "entropy of probabilities": swap(
        "def entropy(probs):\n    return -(probs * torch.log(probs)).sum(-1)\n",
        "-(probs * torch.log(probs))", "torch.special.entr(probs)", {**EXACT, "hazard": ("value",)},
    ),
    "divergence of two heads": swap(
        "def kl(p_logits, q_logits):\n    p = F.softmax(p_logits, dim=-1)\n    q = F.softmax(q_logits, dim=-1)\n"
        "    return (p * (torch.log(p) - torch.log(q))).sum(-1).mean()\n",
        "(torch.log(p) - torch.log(q))", "(F.log_softmax(p_logits, dim=-1) - F.log_softmax(q_logits, dim=-1))", EXACT,
    ),
    "importance ratio": swap(
        "def ppo(self, logp, old_logp, adv):\n    ratio = torch.exp(logp - old_logp)\n"
        "    clipped = torch.clamp(ratio, 1 - self.clip, 1 + self.clip)\n"
        "    return -torch.min(ratio * adv, clipped * adv).mean()\n",
        "torch.exp(logp - old_logp)", "torch.exp((logp - old_logp).clamp(-20.0, 20.0))",
        clamped("logp - old_logp", -20.0, 20.0),
    ),
    "advantage normalised": swap(
        "def normalise(adv):\n    return (adv - adv.mean()) / adv.std(correction=0)\n",
        "adv.std(correction=0)", "(adv.std(correction=0) + 1e-8)", FLOOR,
    ),
    "dice": swap(
        "def dice(pred, target):\n    p = torch.sigmoid(pred)\n    inter = (p * target).sum((1, 2))\n"
        "    union = p.sum((1, 2)) + target.sum((1, 2))\n    return 1 - 2 * inter / union\n",
        "inter / union", "inter / union.clamp_min(torch.finfo(union.dtype).eps)", FLOOR, False,
    ),
    "boxes": swap(
        "def iou(a, b):\n    area_a = (a[:, 2] - a[:, 0]).clamp(min=0) * (a[:, 3] - a[:, 1]).clamp(min=0)\n"
        "    area_b = (b[:, 2] - b[:, 0]).clamp(min=0) * (b[:, 3] - b[:, 1]).clamp(min=0)\n"
        "    lt = torch.max(a[:, :2], b[:, :2])\n    rb = torch.min(a[:, 2:], b[:, 2:])\n"
        "    wh = (rb - lt).clamp(min=0)\n"
        "    inter = wh[:, 0] * wh[:, 1]\n    union = area_a + area_b - inter\n    return inter / union\n",
        "inter / union", "inter / union.clamp_min(torch.finfo(union.dtype).eps)", FLOOR,
    ),
    "focal": swap(
        "def focal(logits, target, gamma=2.0):\n    p = torch.sigmoid(logits)\n"
        "    pt = p * target + (1 - p) * (1 - target)\n"
        "    return -((1 - pt) ** gamma * torch.log(pt)).mean()\n",
        "torch.log(pt)", "torch.log(pt.clamp_min(torch.finfo(pt.dtype).eps))", FLOOR,
    ),
    "contrastive with a diagonal removed": swap(
        "def info_nce(z, t):\n    z = F.normalize(z, dim=1)\n    sim = z @ z.t() / t\n    e = torch.exp(sim)\n"
        "    pos = torch.diagonal(sim)\n    return (torch.log(e.sum(dim=1)) - pos).mean()\n",
        "torch.log(e.sum(dim=1))", "torch.logsumexp(sim, dim=1)", EXACT, False,
    ),
    "patches of two functions": (
        "def probs(x):\n    return torch.log(torch.softmax(x, dim=-1))\n\n"
        "def both(x):\n    return torch.log(torch.softmax(x, dim=0))\n",
        [("torch.log(torch.softmax(x, dim=-1))", "torch.log_softmax(x, dim=-1)"),
         ("torch.log(torch.softmax(x, dim=0))", "torch.log_softmax(x, dim=0)")],
        EXACT, True,
    ),
    "method and the constructor": (
        "class Loss(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.bce = nn.BCELoss()\n"
        "    def forward(self, x, y):\n        return self.bce(torch.sigmoid(x), y)\n",
        [("nn.BCELoss()", "nn.BCEWithLogitsLoss()"), ("self.bce(torch.sigmoid(x), y)", "self.bce(x, y)")],
        SATURATING, True,
    ),
    "absent mask and absent bias": swap(
        "class A(nn.Module):\n    def forward(self, scores, mask=None, bias=None):\n        if bias is None:\n"
        "            if not self.relative:\n                bias = torch.zeros(1, 1, device=scores.device)\n"
        "            else:\n                bias = self.compute(scores)\n            if mask is not None:\n"
        "                mask = torch.where(mask > 0, 0.0, -1e10)\n                bias = bias + mask\n"
        "        scores = scores + bias\n        return scores.softmax(-1)\n",
        "-1e10", "torch.finfo(scores.dtype).min", MASK,
    ),
    "variance of a difference": swap(
        "def var(x):\n    return (x ** 2).mean(0) - x.mean(0) ** 2\n",
        "(x ** 2).mean(0) - x.mean(0) ** 2", "x.var(0, correction=0)", EXACT, False,
    ),
    "distances": swap(
        "def pairwise(x, y):\n    d2 = (x ** 2).sum(1, keepdim=True) + (y ** 2).sum(1) - 2 * x @ y.t()\n"
        "    return torch.sqrt(d2)\n",
        "torch.sqrt(d2)", "torch.sqrt(d2.clamp_min(1e-6))", FLOOR,
    ),
    "gradient penalty": swap(
        "def penalty(grads):\n    norm = torch.sqrt(torch.sum(grads ** 2, dim=1))\n"
        "    return ((norm - 1) ** 2).mean()\n",
        "torch.sqrt(torch.sum(grads ** 2, dim=1))", "torch.linalg.vector_norm(grads, dim=1)", EXACT,
    ),
    "rate of a Poisson head": swap(
        "class P(nn.Module):\n    def forward(self, x, counts):\n        rate = torch.exp(self.head(x))\n"
        "        return (rate - counts * torch.log(rate)).mean()\n",
        "torch.exp(self.head(x))", "torch.exp(self.head(x).clamp(-30.0, 20.0))", clamped("self.head(x)", -30.0, 20.0),
    ),
}  # fmt: skip


def fix_of(source: str, pairs: list[tuple[str, str]], claim: dict[str, Any]) -> tuple[Module, Fix]:
    """The fix that replaces the last occurrence of each first text by the second."""
    data = source.encode()
    edits = []
    for old, new in pairs:
        start = data.rindex(old.encode())
        edits.append(Edit(Span(start, start + len(old.encode())), new))
    module = parse(Source("case.py", data))
    assert isinstance(module, Module)
    return module, Fix("case", tuple(edits), Applicability.SAFE, Claim(**claim))


@pytest.mark.parametrize("name", SNIPPETS)
def test_what_projects_write_is_executed(name: str) -> None:
    body, pairs, claim, fails = SNIPPETS[name]
    job = plan(*fix_of(HEAD + body, pairs, claim))
    assert not isinstance(job, str), job
    found = expression.run(json.loads(json.dumps(job.spec)), time.monotonic() + 30)
    told = (found["reason"], found["claims"])
    assert found["verdict"] in ("PROVED", "CONSISTENT"), told
    assert found["verdict"] == "PROVED" or not fails, told
