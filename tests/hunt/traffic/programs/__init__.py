"""What is tried: a `program` is a scene and steps, `drawn` at random around `secrets`; `corpus` has some."""
