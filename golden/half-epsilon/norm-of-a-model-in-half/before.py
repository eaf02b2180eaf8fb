import torch


def prepare(model):
    return model.half().cuda()


def cosine_loss(student, teacher):
    a = student / (student.norm(dim=-1, keepdim=True) + 1e-8)
    b = teacher / (teacher.norm(dim=-1, keepdim=True) + 1e-8)
    return 1 - (a * b).sum(dim=-1).mean()
