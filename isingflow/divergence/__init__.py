"""The common estimator of relative entropy: it knows laws and arrays, and no physics."""
