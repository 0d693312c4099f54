"""The paper's user study (§5.6): asked on loopback, summed up as Figure 4."""
