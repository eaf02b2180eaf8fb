"""Patches to training loops in every style, executed; see test_refuted.py for the wrong ones that are caught."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from running import marked, zygote

from autofix.smoke import block
from autofix.smoke.job import Job
from autofix.smoke.zygote import Zygote
from autofix.syntax import Module, parse

__all__ = ["zygote"]

RIGHT = {
    "plain": """
         import torch
         def train(model, loader, optimizer, criterion):
             for i, (x, y) in enumerate(loader):
                 optimizer.zero_grad()
                 loss = criterion(model(x.cuda()), y)
                 loss.backward()
        +        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                 optimizer.step()
                 print(loss.item())
    """,
    "import added with the patch": """
        +from torch.nn.utils import clip_grad_norm_
         import torch
         def train(model, loader):
             optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
             for x, y in loader:
                 loss = model(x, y)
                 optimizer.zero_grad()
                 loss.backward()
        +        clip_grad_norm_(model.parameters(), 1.0)
                 optimizer.step()
    """,
    "accumulation": """
         import torch
         def train(model, loader, optimizer, args):
             for step, batch in enumerate(loader):
                 outputs = model(**batch)
                 loss = outputs.loss / args.gradient_accumulation_steps
                 loss.backward()
                 if (step + 1) % args.gradient_accumulation_steps == 0:
        +            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                     optimizer.step()
                     scheduler.step()
                     optimizer.zero_grad()
    """,
    "scaler": """
         import torch
         from torch.cuda.amp import GradScaler, autocast
         def train(model, loader, optimizer, loss_fn):
             scaler = GradScaler()
             for x, y in loader:
                 optimizer.zero_grad(set_to_none=True)
                 with autocast():
                     loss = loss_fn(model(x), y)
                 scaler.scale(loss).backward()
        +        scaler.unscale_(optimizer)
        +        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                 scaler.step(optimizer)
                 scaler.update()
    """,
    "accelerate": """
         import torch
         from accelerate import Accelerator
         def main(args):
             accelerator = Accelerator(gradient_accumulation_steps=4)
             optimizer = torch.optim.AdamW(unet.parameters(), lr=args.lr)
             unet, optimizer, loader = accelerator.prepare(unet, optimizer, loader)
             for epoch in range(3):
                 for step, batch in enumerate(loader):
                     with accelerator.accumulate(unet):
                         loss = F.mse_loss(unet(batch["x"]), batch["y"])
                         accelerator.backward(loss)
        +                if accelerator.sync_gradients:
        +                    accelerator.clip_grad_norm_(unet.parameters(), 1.0)
                         optimizer.step()
                         lr_scheduler.step()
                         optimizer.zero_grad()
                     if accelerator.sync_gradients:
                         progress_bar.update(1)
                         if global_step >= args.max_train_steps:
                             break
    """,
    "parameter groups": """
         import torch
         class Trainer:
             def fit(self, batches):
                 for batch in batches:
                     self.optimizer.zero_grad()
                     loss = self.compute_loss(batch)
                     loss.backward()
        +            torch.nn.utils.clip_grad_norm_(
        +                [p for group in self.optimizer.param_groups for p in group["params"]], 1.0
        +            )
                     self.optimizer.step()
                     self.losses.append(loss.item())
    """,
    "two optimizers, one patched": """
         import torch
         def train(netG, netD, optimizerG, optimizerD, loader):
             for i, real in enumerate(loader, 0):
                 netD.zero_grad()
                 errD_real = criterion(netD(real), 1)
                 errD_real.backward()
                 errD_fake = criterion(netD(netG(noise).detach()), 0)
                 errD_fake.backward()
                 optimizerD.step()
                 netG.zero_grad()
                 errG = criterion(netD(netG(noise)), 1)
                 errG.backward()
        +        torch.nn.utils.clip_grad_norm_(netG.parameters(), 1.0)
                 optimizerG.step()
    """,
    "lightning, manual": """
         import lightning as L
         class Gan(L.LightningModule):
             def training_step(self, batch, batch_idx):
                 opt_g, opt_d = self.optimizers()
                 x, _ = batch
                 self.toggle_optimizer(opt_g)
                 g_loss = self.adversarial_loss(self.discriminator(self(x)), 1)
                 self.manual_backward(g_loss)
        +        self.clip_gradients(opt_g, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
                 opt_g.step()
                 opt_g.zero_grad()
                 self.untoggle_optimizer(opt_g)
                 d_loss = self.adversarial_loss(self.discriminator(x), 1)
                 self.manual_backward(d_loss)
                 opt_d.step()
                 opt_d.zero_grad()
                 self.log("loss", d_loss)
    """,
    "fabric": """
         from lightning.fabric import Fabric
         def train(fabric, model, optimizer, loader):
             for batch in loader:
                 optimizer.zero_grad()
                 loss = model(batch)
                 fabric.backward(loss)
        +        fabric.clip_gradients(model, optimizer, max_norm=1.0)
                 optimizer.step()
    """,
    "branches on a flag": """
         import torch
         def train(model, loader, optimizer, scaler, use_amp):
             for x in loader:
                 if use_amp:
                     scaler.scale(model(x)).backward()
        +            scaler.unscale_(optimizer)
        +            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                     scaler.step(optimizer)
                     scaler.update()
                 else:
                     model(x).backward()
                     optimizer.step()
                 optimizer.zero_grad()
    """,
    "by value": """
         import torch
         def train(model, loader, optimizer):
             for x in loader:
                 optimizer.zero_grad()
                 model(x).sum().backward()
        +        torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
                 optimizer.step()
    """,
    "a script without functions": """
         import torch
         import torch.nn as nn
         model = nn.Linear(3, 1)
         optimizer = torch.optim.Adam(model.parameters())
         for epoch in range(100):
             for x, y in batches():
                 loss = ((model(x) - y) ** 2).mean()
                 optimizer.zero_grad()
                 loss.backward()
        +        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                 optimizer.step()
    """,
    "a step function": """
         import torch
         class Agent:
             def __init__(self):
                 self.actor = make_actor()
                 self.optim = torch.optim.RMSprop(self.actor.parameters())
             def update(self, batch):
                 loss = -(self.actor(batch.state) * batch.advantage).mean()
                 self.optim.zero_grad()
                 loss.backward()
        +        torch.nn.utils.clip_grad_norm_(self.actor.parameters(), 1.0)
                 self.optim.step()
                 return {"loss": loss.item()}
    """,
}


def planned(text: str) -> Job:
    bound = {"clip_value": 1.0} if "clip_grad_value_" in text else {"max_norm": 1.0}
    source, fix = marked(text, **bound)
    module = parse(source)
    assert isinstance(module, Module), module
    job = block.plan(module, fix)
    assert isinstance(job, Job), job
    return job


@pytest.fixture(scope="module")
def results(zygote: Zygote) -> dict[str, dict[str, Any]]:
    """Every case in one run: the warm parent starts once and works on two at a time."""
    jobs = {name: planned(text) for name, text in RIGHT.items()}
    names = {id(job): name for name, job in jobs.items()}
    return {names[id(job)]: result for job, result in zygote.run(jobs.values())}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_patch_is_proved(name: str, results: dict[str, dict[str, Any]]) -> None:
    result = results[name]
    assert result["verdict"] == "PROVED", result
    claims = {c["name"]: c for c in result["claims"]}
    assert claims["equal"]["held"] is True
    assert "bit for bit" in claims["equal"]["detail"]
    assert claims["witness"]["held"] is True


def test_witnesses_run_as_pasted(results: dict[str, dict[str, Any]]) -> None:
    scripts = "".join(results[name]["witness"] for name in ("plain", "scaler", "by value"))
    done = subprocess.run([sys.executable, "-c", scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    norms = [float(line.rpartition(" ")[2]) for line in done.stdout.splitlines()]
    assert all(norm > 100.0 for norm in norms[0::2])
    assert all(norm <= 1.0001 for norm in norms[1::2])  # float32 rounds the clip coefficient and the norm
    assert len(norms) == 6


def test_a_bound_that_already_holds_is_consistent(zygote: Zygote) -> None:
    job = planned("""
         import torch
         def train(model, loader, optimizer):
             for x in loader:
                 optimizer.zero_grad()
                 model(x).backward()
        -        torch.nn.utils.clip_grad_norm(model.parameters(), 1.0)
        +        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                 optimizer.step()
    """)
    [(_, result)] = zygote.run([job])
    assert result["verdict"] == "CONSISTENT", result


def test_a_patch_in_a_branch_that_may_not_be_taken_is_not_proved(zygote: Zygote) -> None:
    job = planned("""
         import torch
         def train(model, loader, optimizer, verbose):
             for x in loader:
                 optimizer.zero_grad()
                 model(x).backward()
                 if verbose:
                     report(x)
        +            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                 optimizer.step()
    """)
    [(_, result)] = zygote.run([job])
    assert result["verdict"] == "INCONCLUSIVE"
    assert "not reached" in result["reason"]


def test_assumptions_are_stated(results: dict[str, dict[str, Any]]) -> None:
    assert "`optimizer` steps the parameters of `model`" in results["plain"]["assumptions"]
    assert "`use_amp` is true" in results["branches on a flag"]["assumptions"]
    assert results["a step function"]["assumptions"] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("""
         import torch
         def train(model, loader):
        +    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
             return model
        """, "no optimizer step"),
        ("""
         import torch
         def train(model):
             opt = torch.optim.LBFGS(model.parameters())
             for _ in range(3):
                 loss = model(1)
                 loss.backward()
        +        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                 opt.step(closure)
        """, "LBFGS"),
    ],
    ids=["no step", "LBFGS"],
)  # fmt: skip
def test_what_cannot_be_planned_says_why(text: str, words: str) -> None:
    source, fix = marked(text)
    module = parse(source)
    assert isinstance(module, Module)
    reason = block.plan(module, fix)
    assert isinstance(reason, str)
    assert words in reason
