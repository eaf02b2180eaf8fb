import lightning as L

from project.model import Model, loader, settings

trainer = L.Trainer(max_epochs=3, **settings["trainer"])
trainer.fit(Model(), loader())
