import numpy as np
import torch


def normalise(model, image):
    model.half()
    x = np.asarray(image, dtype=np.float32)
    return torch.from_numpy((x - x.mean()) / (x.std() + 1e-8))
