"""Whether the active region can be reached: the text that runs in all three regions."""
