"""Models for other runtimes and other libraries: ONNX, and folders of sentence-transformers.

Which exporter writes the ONNX files, and why, is said in `graph`.
"""
