import torch
import torch.nn.functional as F


def distil(student, teacher):
    return F.cross_entropy(student, torch.softmax(teacher, dim=1))
