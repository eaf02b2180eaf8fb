import pytorch_lightning as pl

from project.model import Model, loader

trainer = pl.Trainer(accelerator="auto", logger=False)
predictions = trainer.predict(Model.load_from_checkpoint("best.ckpt"), loader())
