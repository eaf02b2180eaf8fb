import torch


def prepare(model):
    return model.half().cuda()


def cosine_loss(student, teacher):
    a = student / student.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(student.dtype).eps)
    b = teacher / teacher.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(teacher.dtype).eps)
    return 1 - (a * b).sum(dim=-1).mean()
