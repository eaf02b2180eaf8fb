import torch
import torch.nn.functional as F


def distillation_loss(student, teacher):
    log_probs = F.log_softmax(student, dim=-1)
    teacher_logp = F.log_softmax(teacher, dim=-1)
    return (teacher_logp.exp() * (teacher_logp - log_probs)).sum(-1).mean(), log_probs.exp()
