"""TensorFlow checkpoints read without TensorFlow, and ELECTRA's weights in them."""
