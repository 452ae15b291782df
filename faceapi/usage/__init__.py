"""Usage figures: roll-ups, histograms, reports and their proof."""
