"""Radio chips in software, at the level of their pins and SPI transactions; what they send and hear is the air's business."""
