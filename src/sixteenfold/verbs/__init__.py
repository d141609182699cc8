"""What the program can do: a module a verb, each with a small class whose fields are the verb's options."""
