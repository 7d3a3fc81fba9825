"""Structure-aware fuzzing of readers: seeds, mutations, and the rules that every read must keep."""
