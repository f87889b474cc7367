"""TensorFlow Datasets without TensorFlow: sets prepared as ArrayRecord, read and made. Imported when needed."""
