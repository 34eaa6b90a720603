"""FlexVAR: next-scale prediction without residuals, so that steps, size and aspect are chosen at run time."""
