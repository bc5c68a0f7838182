"""How everything stands, over HTTP."""
