"""From a picture to faces: detection, alignment, attributes, embeddings, quality."""
