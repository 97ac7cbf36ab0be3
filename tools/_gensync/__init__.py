"""How the blocking twins are made from the async cores; ``tools/gen_sync.py`` is the command."""
