import lightning as L

from project.model import Model, loader

trainer = L.Trainer(max_epochs=3, gradient_clip_val=0.5)
trainer.fit(Model(), loader())
without = L.Trainer(max_epochs=3, gradient_clip_val=None)
without.fit(Model(), loader())
