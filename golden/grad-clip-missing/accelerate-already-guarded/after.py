import torch
from accelerate import Accelerator


def main(unet, loader, loss_fn, ema):
    accelerator = Accelerator(gradient_accumulation_steps=2)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4)
    unet, optimizer, loader = accelerator.prepare(unet, optimizer, loader)
    for input_ids, noise in loader:
        with accelerator.accumulate(unet):
            accelerator.backward(loss_fn(unet(input_ids), noise))
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(unet.parameters(), max_norm=1.0)
                optimizer.step()
                optimizer.zero_grad()
                ema.step(unet.parameters())
