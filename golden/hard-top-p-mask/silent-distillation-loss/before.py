import torch


def head_tail_loss(student_probs, teacher_probs):
    sorted_teacher, order = teacher_probs.sort(dim=-1, descending=True)
    inside = sorted_teacher.cumsum(dim=-1) - sorted_teacher < 0.5
    head_mask = torch.zeros_like(inside).scatter(-1, order, inside)
    gap = (teacher_probs - student_probs).abs()
    return (gap * head_mask).sum(-1).mean()
