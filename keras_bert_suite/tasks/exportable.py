"""`Exportable`: what every task with a trained model can leave Keras as."""

__all__ = ["Exportable"]


class Exportable:
    """A task that artifacts can be written of."""

    def export(self, directory, formats=("saved_model", "litert", "onnx"), **options):
        """Write artifacts for TF Serving, phones and ONNX Runtime, each checked against this model.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite=True`.
            formats: sequence of str out of `export.FORMATS`.
            **options: as in `export.export_task`.
        Returns:
            The parity report.
        """
        from keras_bert_suite.export import export_task

        return export_task(self, directory, formats=formats, **options)
