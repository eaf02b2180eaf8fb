import deepspeed


def engine_of(model, arguments):
    return deepspeed.initialize(model=model, model_parameters=model.parameters(), config=arguments.deepspeed_config)[0]
