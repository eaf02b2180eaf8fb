import torch
import torch.nn.functional as F
from torch import nn


class AdaptiveKL(nn.Module):
    """Weighs forward and reverse divergence by the gap in the head and in the tail of the teacher's distribution."""

    def forward(self, logits, teacher_logits):
        teacher = F.softmax(teacher_logits, dim=-1)
        student = F.softmax(logits, dim=-1)
        ranked, order = teacher.sort(dim=-1, descending=True)
        inside = ranked.cumsum(dim=-1) - ranked < 0.5
        head_mask = torch.zeros_like(inside).scatter(-1, order, inside)
        gap = (teacher - student).abs()
        return (gap * head_mask).sum(dim=-1), (gap * ~head_mask).sum(dim=-1)
