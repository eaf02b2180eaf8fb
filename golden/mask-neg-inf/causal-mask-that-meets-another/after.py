import torch


def _make_causal_mask(shape, dtype, past=0):
    bsz, length = shape
    mask = torch.full((length, length), torch.finfo(dtype).min / 2, dtype=dtype)
    positions = torch.arange(mask.size(-1))
    mask.masked_fill_(positions < (positions + 1).view(mask.size(-1), 1), 0)
    mask = mask.to(dtype)
    return mask[None, None, :, :].expand(bsz, 1, length, length + past)


def prepare_decoder_attention_mask(padding_mask, shape, dtype):
    causal_mask = _make_causal_mask(shape, dtype)
    return causal_mask + padding_mask
