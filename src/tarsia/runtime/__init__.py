"""Running a network on pictures, without torch: engine, predictor, image, paint."""
