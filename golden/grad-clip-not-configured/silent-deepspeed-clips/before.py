import deepspeed

CONFIG = {
    "train_batch_size": 64,
    "optimizer": {"type": "AdamW", "params": {"lr": 3e-4}},
    "gradient_clipping": 1.0,
}


def engine_of(model):
    return deepspeed.initialize(model=model, model_parameters=model.parameters(), config=CONFIG)[0]
