"""The coverage-guided fuzzer behind the campaign `fuzz`: it runs in an environment of its own, made from the lock beside this file."""
